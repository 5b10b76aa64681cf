// SPDX-License-Identifier: LGPL-2.0-or-later

//! The additional sense code and its qualifier, in words.

#![forbid(unsafe_code)]

use crate::asc_table::{NAMES, RANGES};
use std::fmt;

/// Additional sense code and additional sense code qualifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdditionalSense {
    /// Additional sense code (ASC).
    pub code: u8,
    /// Its qualifier (ASCQ).
    pub qualifier: u8,
}

impl AdditionalSense {
    /// The pair as it is usually written, `asc/ascq`.
    pub const fn new(code: u8, qualifier: u8) -> AdditionalSense {
        AdditionalSense { code, qualifier }
    }

    /// The name that T10 assigned to exactly this pair.
    pub fn name(self) -> Option<&'static str> {
        let key = u16::from_be_bytes([self.code, self.qualifier]);
        let at = NAMES.binary_search_by_key(&key, |(code, _)| *code).ok()?;
        NAMES.get(at).map(|(_, name)| *name)
    }
}

/// The assigned name; for the codes whose qualifier is a number, name and number; else which kind of
/// unassigned code it is.
impl fmt::Display for AdditionalSense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name() {
            return f.write_str(name);
        }
        let AdditionalSense { code, qualifier } = *self;
        let family = RANGES
            .iter()
            .find(|(asc, first, last, _)| *asc == code && (*first..=*last).contains(&qualifier));
        match family {
            Some((_, _, _, name)) => write!(f, "{name} {qualifier:02x}h"),
            // SPC-5 keeps the upper halves of both bytes for vendors.
            None if code >= 0x80 || qualifier >= 0x80 => f.write_str("vendor specific"),
            None => f.write_str("not assigned by T10"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_without_doubles_and_without_vendor_codes() {
        assert!(NAMES.is_sorted_by(|(a, _), (b, _)| a < b));
        assert!(
            NAMES
                .iter()
                .all(|(code, name)| *code < 0x8000 && !name.is_empty())
        );
        assert!(NAMES.iter().all(|(_, name)| name.trim() == *name));
    }

    #[test]
    fn names_of_the_codes_that_checkers_meet() {
        for (asc, ascq, name) in [
            (0x00, 0x00, "No additional sense information"),
            (
                0x04,
                0x0a,
                "Logical unit not accessible, asymmetric access state transition",
            ),
            (
                0x04,
                0x0b,
                "Logical unit not accessible, target port in standby state",
            ),
            (0x20, 0x00, "Invalid command operation code"),
            (0x24, 0x00, "Invalid field in CDB"),
            (0x25, 0x00, "Logical unit not supported"),
            (0x29, 0x00, "Power on, reset, or bus device reset occurred"),
            (0x3a, 0x00, "Medium not present"),
            (0x3f, 0x0e, "Reported LUNs data has changed"),
            (0x74, 0x79, "Security conflict in translated device"),
            (0x40, 0x00, "RAM failure (should use 40 nn)"),
            (0x40, 0x81, "Diagnostic failure on component 81h"),
            (0x4d, 0x00, "Tagged overlapped commands, task tag 00h"),
            (
                0x70,
                0xff,
                "Decompression exception short algorithm ID of ffh",
            ),
            (0x04, 0x7f, "not assigned by T10"),
            (0x25, 0x80, "vendor specific"),
            (0x94, 0x01, "vendor specific"),
        ] {
            assert_eq!(AdditionalSense::new(asc, ascq).to_string(), name);
        }
    }

    #[test]
    fn every_pair_says_something() {
        for pair in 0..=u16::MAX {
            let [code, qualifier] = pair.to_be_bytes();
            assert!(!AdditionalSense::new(code, qualifier).to_string().is_empty());
        }
    }
}
