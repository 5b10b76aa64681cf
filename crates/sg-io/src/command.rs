// SPDX-License-Identifier: LGPL-2.0-or-later

//! One SCSI command as it goes to a device.

#![forbid(unsafe_code)]

use std::fmt;

/// A command descriptor block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cdb {
    /// Six bytes: operation codes 00h to 1Fh.
    Six([u8; 6]),
    /// Ten bytes: operation codes 20h to 5Fh.
    Ten([u8; 10]),
}

impl Cdb {
    /// TEST UNIT READY.
    pub const TEST_UNIT_READY: Cdb = Cdb::Six([0; 6]);

    /// INQUIRY for the vital product data page `page`, into a buffer of `length` bytes.
    pub const fn inquiry_page(page: u8, length: u8) -> Cdb {
        Cdb::Six([0x12, 0x01, page, 0x00, length, 0x00])
    }

    /// The bytes as they are sent.
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Cdb::Six(bytes) => bytes,
            Cdb::Ten(bytes) => bytes,
        }
    }

    /// The name of the command, as far as a path checker sends it.
    pub const fn name(&self) -> &'static str {
        match self {
            Cdb::Six([0x00, ..]) => "TEST UNIT READY",
            Cdb::Six([0x12, ..]) => "INQUIRY",
            Cdb::Ten([0x28, ..]) => "READ(10)",
            Cdb::Ten([0x55, ..]) => "MODE SELECT(10)",
            Cdb::Ten([0x5a, ..]) => "MODE SENSE(10)",
            _ => "SCSI command",
        }
    }
}

/// The name and the bytes, for example `INQUIRY 12 01 c9 00 30 00`.
impl fmt::Display for Cdb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, " {byte:02x}"))
    }
}

/// What a command moves between memory and the device; the buffer's length is the transfer length.
#[derive(Debug)]
pub enum Data<'a> {
    /// Nothing.
    None,
    /// From the device. What the device does not send stays as it was.
    In(&'a mut [u8]),
    /// To the device.
    Out(&'a [u8]),
}

/// A time limit in milliseconds; for zero the kernel takes a limit of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u32);

/// A command with its data and its time limit.
#[derive(Debug)]
pub struct Command<'a> {
    /// The command descriptor block.
    pub cdb: Cdb,
    /// The data.
    pub data: Data<'a>,
    /// How long the kernel waits before it aborts the command.
    pub timeout: Millis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_name_and_every_byte() {
        for (cdb, shown) in [
            (Cdb::TEST_UNIT_READY, "TEST UNIT READY 00 00 00 00 00 00"),
            (Cdb::inquiry_page(0xc9, 48), "INQUIRY 12 01 c9 00 30 00"),
            (
                Cdb::Ten([0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0]),
                "READ(10) 28 00 00 00 00 00 00 00 08 00",
            ),
            (Cdb::Six([1; 6]), "SCSI command 01 01 01 01 01 01"),
        ] {
            assert_eq!(cdb.to_string(), shown);
        }
    }
}
