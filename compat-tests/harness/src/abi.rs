// SPDX-License-Identifier: LGPL-2.0-or-later

//! The four ABIs that hosts of multipath-tools offer to checkers, each named by its first release.
#![forbid(unsafe_code)]

use crate::Trouble;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Which releases lay out `struct checker` alike and look up the same entry points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Abi {
    /// 0.7.9 to 0.10.x.
    #[serde(rename = "0.7.9")]
    V0_7_9,
    /// 0.11.0 to 0.13.x.
    #[serde(rename = "0.11")]
    V0_11,
    /// 0.14.x: the layout of 0.11, with one more path state and one more message.
    #[serde(rename = "0.14")]
    V0_14,
    /// 0.15.0 and later.
    #[serde(rename = "0.15")]
    V0_15,
}

impl Abi {
    /// All of them, oldest first.
    pub const ALL: [Abi; 4] = [Abi::V0_7_9, Abi::V0_11, Abi::V0_14, Abi::V0_15];

    /// The first release that offers this ABI.
    pub fn name(self) -> &'static str {
        match self {
            Abi::V0_7_9 => "0.7.9",
            Abi::V0_11 => "0.11",
            Abi::V0_14 => "0.14",
            Abi::V0_15 => "0.15",
        }
    }

    /// The letter that `libcheck_assume_abi` takes.
    pub fn letter(self) -> u8 {
        match self {
            Abi::V0_7_9 => b'B',
            Abi::V0_11 | Abi::V0_14 => b'C',
            Abi::V0_15 => b'D',
        }
    }

    /// The release whose plugins the differential suites load in such a host; none for 0.14, which no
    /// release of Debian has.
    pub fn compared_release(self) -> Option<Release> {
        match self {
            Abi::V0_7_9 => Some(Release([0, 9, 4])),
            Abi::V0_11 => Some(Release([0, 11, 1])),
            Abi::V0_14 => None,
            Abi::V0_15 => Some(Release([0, 15, 1])),
        }
    }

    /// How many generic messages the host has.
    pub fn generic_messages(self) -> usize {
        match self {
            Abi::V0_7_9 | Abi::V0_11 => 8,
            Abi::V0_14 => 9,
            Abi::V0_15 => 11,
        }
    }

    /// How many path states the host knows.
    pub fn states(self) -> i32 {
        if self < Abi::V0_14 { 10 } else { 11 }
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Abi {
    type Err = Trouble;

    fn from_str(name: &str) -> Result<Abi, Trouble> {
        let found = Abi::ALL.into_iter().find(|abi| abi.name() == name);
        found.ok_or_else(|| {
            Trouble::Broken(format!(
                "no ABI {name:?}: there are 0.7.9, 0.11, 0.14 and 0.15"
            ))
        })
    }
}

/// A release of multipath-tools, such as 0.9.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Release([u16; 3]);

impl TryFrom<String> for Release {
    type Error = String;

    fn try_from(text: String) -> Result<Release, String> {
        let numbers: Result<Vec<u16>, _> = text.split('.').map(str::parse).collect();
        numbers
            .ok()
            .and_then(|numbers| numbers.try_into().ok())
            .map(Release)
            .ok_or_else(|| format!("{text:?} is no release such as 0.9.4"))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Release([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for abi in Abi::ALL {
            assert_eq!(abi.name().parse(), Ok(abi));
            let json = serde_json::to_string(&abi).unwrap();
            assert_eq!(json, format!("{:?}", abi.name()));
        }
        assert!("B".parse::<Abi>().is_err());
    }

    #[test]
    fn releases_are_parsed_and_ordered() {
        let release = |text: &str| Release::try_from(text.to_owned());
        assert!(release("0.9.4").unwrap() < release("0.11.0").unwrap());
        for bad in ["0.9", "0.9.4.1", "0.9.x", ""] {
            assert!(release(bad).is_err(), "{bad:?}");
        }
    }
}
