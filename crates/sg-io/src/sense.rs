// SPDX-License-Identifier: LGPL-2.0-or-later

//! Sense data: what a target reports about a command that did not simply succeed.
//!
//! Two formats exist (SPC-5, sense data): *fixed* has the response codes 70h and 71h, the sense key
//! in byte 2 and the additional codes in bytes 12 and 13; *descriptor* has 72h and 73h and all three
//! in bytes 1 to 3. Bit 7 of byte 0 says in fixed format that the information field is valid.

#![forbid(unsafe_code)]

use crate::AdditionalSense;
use std::fmt;

/// How many bytes of sense data the kernel is asked for.
pub(crate) const LENGTH: usize = 32;

/// The sense key: what kind of thing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenseKey(pub u8);

impl SenseKey {
    /// RECOVERED ERROR: the command succeeded in the end.
    pub const RECOVERED_ERROR: SenseKey = SenseKey(0x1);
    /// NOT READY.
    pub const NOT_READY: SenseKey = SenseKey(0x2);
    /// ILLEGAL REQUEST: the device does not know the command, the unit or a parameter.
    pub const ILLEGAL_REQUEST: SenseKey = SenseKey(0x5);
    /// UNIT ATTENTION: something changed; reported once, so a retry may succeed.
    pub const UNIT_ATTENTION: SenseKey = SenseKey(0x6);

    const fn low_bits(byte: u8) -> SenseKey {
        SenseKey(byte & 0x0f)
    }
}

impl fmt::Display for SenseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0x0 => "No Sense",
            0x1 => "Recovered Error",
            0x2 => "Not Ready",
            0x3 => "Medium Error",
            0x4 => "Hardware Error",
            0x5 => "Illegal Request",
            0x6 => "Unit Attention",
            0x7 => "Data Protect",
            0x8 => "Blank Check",
            0x9 => "Vendor Specific",
            0xa => "Copy Aborted",
            0xb => "Aborted Command",
            0xc => "Equal",
            0xd => "Volume Overflow",
            0xe => "Miscompare",
            0xf => "Completed",
            other => return write!(f, "sense key {other:02x}h"),
        })
    }
}

/// Sense key and additional codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenseCode {
    /// The sense key.
    pub key: SenseKey,
    /// The additional code and its qualifier; 00/00 where the data does not reach that far.
    pub additional: AdditionalSense,
}

impl SenseCode {
    /// The three numbers as they are usually written, `key/asc/ascq`.
    pub const fn new(key: u8, asc: u8, ascq: u8) -> SenseCode {
        SenseCode {
            key: SenseKey(key),
            additional: AdditionalSense::new(asc, ascq),
        }
    }
}

/// Words and numbers: `Not Ready: Medium not present (02/3a/00)`.
impl fmt::Display for SenseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SenseCode { key, additional } = self;
        let AdditionalSense { code, qualifier } = additional;
        write!(
            f,
            "{key}: {additional} ({:02x}/{code:02x}/{qualifier:02x})",
            key.0
        )
    }
}

/// Sense data in full, as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Whether the data is in descriptor format (else in fixed format).
    pub descriptor: bool,
    /// Whether it is about an earlier command.
    pub deferred: bool,
    /// Sense key and additional sense code.
    pub code: SenseCode,
}

impl fmt::Display for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deferred = if self.deferred { "deferred: " } else { "" };
        write!(f, "{deferred}{}", self.code)
    }
}

/// Sense data as the kernel delivered it: a buffer of 32 bytes that was zero before, and how many of
/// them the kernel says it wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sense {
    buffer: [u8; LENGTH],
    written: u8,
}

impl Sense {
    /// No sense data.
    pub const NONE: Sense = Sense {
        buffer: [0; LENGTH],
        written: 0,
    };

    /// Takes over the kernel's buffer and the length it gives. A length beyond the buffer counts as
    /// all of it.
    pub const fn new(buffer: [u8; LENGTH], written: u8) -> Sense {
        let written = if written as usize > LENGTH {
            LENGTH as u8
        } else {
            written
        };
        Sense { buffer, written }
    }

    /// The bytes that were written.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..usize::from(self.written)).unwrap_or(&[])
    }

    /// The rule of multipath-tools' `sg_read`, by the response code. Data of up to 3 bytes, fixed-format data
    /// of up to 13 and unknown response codes say nothing (00/00/00). The VALID bit is allowed in
    /// fixed format only.
    pub fn by_response_code(&self) -> SenseCode {
        match self.bytes() {
            [0x72 | 0x73, key, asc, ascq, ..] => SenseCode {
                key: SenseKey::low_bits(*key),
                additional: AdditionalSense::new(*asc, *ascq),
            },
            [0x70 | 0x71 | 0xf0 | 0xf1, ..] if self.written > 13 => self.at_fixed_offsets(),
            _ => SenseCode::default(),
        }
    }

    /// The rule of multipath-tools' checkers for arrays: by bit 1 of byte 0, which tells the formats apart
    /// for every valid response code. `None` for data of up to 2 bytes.
    pub fn key_by_format_bit(&self) -> Option<SenseKey> {
        match self.bytes() {
            [code, descriptor_key, fixed_key, ..] => {
                let byte = if code & 0x02 != 0 {
                    descriptor_key
                } else {
                    fixed_key
                };
                Some(SenseKey::low_bits(*byte))
            }
            _ => None,
        }
    }

    /// What the bytes say when they are taken for fixed format, whatever the response code and the
    /// length: zeros where nothing was written.
    pub fn at_fixed_offsets(&self) -> SenseCode {
        let [_, _, key, _, _, _, _, _, _, _, _, _, asc, ascq, ..] = self.buffer;
        SenseCode {
            key: SenseKey::low_bits(key),
            additional: AdditionalSense::new(asc, ascq),
        }
    }

    /// Everything in the common header of both formats; `None` when there is no sense data or its
    /// response code is unknown.
    pub fn decode(&self) -> Option<Decoded> {
        let bytes = self.bytes();
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let response = byte(0) & 0x7f;
        let descriptor = matches!(response, 0x72 | 0x73);
        let (key, asc, ascq) = match response {
            0x70 | 0x71 => (byte(2), byte(12), byte(13)),
            0x72 | 0x73 => (byte(1), byte(2), byte(3)),
            _ => return None,
        };
        Some(Decoded {
            descriptor,
            deferred: matches!(response, 0x71 | 0x73),
            code: SenseCode {
                key: SenseKey::low_bits(key),
                additional: AdditionalSense::new(asc, ascq),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sense(start: &[u8], written: u8) -> Sense {
        let mut buffer = [0; LENGTH];
        buffer[..start.len()].copy_from_slice(start);
        Sense::new(buffer, written)
    }

    const FIXED: [u8; 14] = [0x70, 0, 0x12, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x04, 0x0b];
    const DESCRIPTOR: [u8; 4] = [0x72, 0x12, 0x04, 0x0b];

    #[test]
    fn by_response_code_needs_a_known_code_and_enough_bytes() {
        let standby = SenseCode::new(2, 0x04, 0x0b);
        let nothing = SenseCode::default();
        for (start, written, expected) in [
            (&DESCRIPTOR[..], 4, standby),
            (&DESCRIPTOR, 3, nothing),
            (&DESCRIPTOR, 255, standby),
            (&FIXED, 14, standby),
            (&FIXED, 13, nothing),
            (&FIXED, 255, standby),
            (&FIXED, 0, nothing),
        ] {
            assert_eq!(sense(start, written).by_response_code(), expected);
        }
        for (code, fixed) in [(0x70, true), (0x71, true), (0xf0, true), (0xf1, true)]
            .into_iter()
            .chain([(0x6f, false), (0x74, false), (0x7f, false), (0x00, false)])
        {
            let mut bytes = FIXED;
            bytes[0] = code;
            let expected = if fixed { standby } else { nothing };
            assert_eq!(sense(&bytes, 14).by_response_code(), expected, "{code:02x}");
        }
        for (code, known) in [(0x72, true), (0x73, true), (0xf2, false), (0xf3, false)] {
            let mut bytes = DESCRIPTOR;
            bytes[0] = code;
            let expected = if known { standby } else { nothing };
            assert_eq!(sense(&bytes, 32).by_response_code(), expected, "{code:02x}");
        }
    }

    #[test]
    fn by_format_bit_looks_at_one_bit() {
        let bytes = |code| [code, 0xf1, 0xf5];
        for code in [0x72, 0x73, 0xf2, 0xf3, 0x7f, 0x02] {
            assert_eq!(
                sense(&bytes(code), 3).key_by_format_bit(),
                Some(SenseKey(1))
            );
        }
        for code in [0x70, 0x71, 0xf0, 0xf1, 0x00, 0x7c] {
            assert_eq!(
                sense(&bytes(code), 3).key_by_format_bit(),
                Some(SenseKey(5))
            );
        }
        assert_eq!(sense(&bytes(0x70), 2).key_by_format_bit(), None);
        assert_eq!(sense(&bytes(0x70), 0).key_by_format_bit(), None);
    }

    #[test]
    fn fixed_offsets_ignore_code_and_length() {
        let mut bytes = FIXED;
        bytes[0] = 0x72;
        for written in [0, 4, 14, 255] {
            assert_eq!(
                sense(&bytes, written).at_fixed_offsets(),
                SenseCode::new(2, 0x04, 0x0b)
            );
        }
    }

    #[test]
    fn people_read_words_and_numbers() {
        for (start, written, shown) in [
            (
                &FIXED[..],
                18,
                "Not Ready: Logical unit not accessible, target port in standby state (02/04/0b)",
            ),
            (
                &[0xf1, 0, 0x43],
                3,
                "deferred: Medium Error: No additional sense information (03/00/00)",
            ),
            (
                &[0x73, 0x05, 0x25, 0x00],
                8,
                "deferred: Illegal Request: Logical unit not supported (05/25/00)",
            ),
        ] {
            let decoded = sense(start, written).decode().unwrap();
            assert_eq!(decoded.to_string(), shown);
        }
        assert_eq!(
            sense(&DESCRIPTOR, 4).decode().map(|d| d.descriptor),
            Some(true)
        );
        assert_eq!(Sense::NONE.decode(), None);
        assert_eq!(sense(&[0x7f, 1, 2, 3], 4).decode(), None);
    }

    proptest! {
        /// No bytes and no length make a decoder panic, and where both rules apply they agree.
        #[test]
        fn any_sense_data_is_decoded(buffer: [u8; LENGTH], written: u8) {
            let sense = Sense::new(buffer, written);
            prop_assert!(sense.bytes().len() <= LENGTH);
            prop_assert!(sense.bytes().len() <= usize::from(written));
            let by_code = sense.by_response_code();
            if let Some(decoded) = sense.decode() {
                let _ = decoded.to_string();
                if by_code != SenseCode::default() {
                    prop_assert_eq!(by_code, decoded.code);
                    prop_assert_eq!(sense.key_by_format_bit(), Some(by_code.key));
                }
            } else {
                prop_assert_eq!(by_code, SenseCode::default());
            }
            let _ = sense.at_fixed_offsets().to_string();
        }
    }
}
