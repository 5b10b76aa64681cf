// SPDX-License-Identifier: LGPL-2.0-or-later

//! The three statuses of a reply: the target's, the host adapter's and the driver's.

#![forbid(unsafe_code)]

use std::fmt;

/// The SCSI status byte, with whatever a target put into its reserved bits (SAM-5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScsiStatus(pub u8);

impl ScsiStatus {
    /// GOOD.
    pub const GOOD: ScsiStatus = ScsiStatus(0x00);
    /// CHECK CONDITION: there is sense data.
    pub const CHECK_CONDITION: ScsiStatus = ScsiStatus(0x02);
    /// RESERVATION CONFLICT: another initiator holds a reservation.
    pub const RESERVATION_CONFLICT: ScsiStatus = ScsiStatus(0x18);
    /// COMMAND TERMINATED (obsolete since SCSI-3): there is sense data.
    pub const COMMAND_TERMINATED: ScsiStatus = ScsiStatus(0x22);

    /// The status without the bits that SCSI-2 reserved (7 and 0).
    pub const fn masked(self) -> ScsiStatus {
        ScsiStatus(self.0 & 0x7e)
    }
}

impl fmt::Display for ScsiStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.masked().0 {
            0x00 => "GOOD",
            0x02 => "CHECK CONDITION",
            0x04 => "CONDITION MET",
            0x08 => "BUSY",
            0x10 => "INTERMEDIATE",
            0x14 => "INTERMEDIATE-CONDITION MET",
            0x18 => "RESERVATION CONFLICT",
            0x22 => "COMMAND TERMINATED",
            0x28 => "TASK SET FULL",
            0x30 => "ACA ACTIVE",
            0x40 => "TASK ABORTED",
            _ => return write!(f, "status {:02x}h", self.0),
        };
        f.write_str(name)
    }
}

/// What the host adapter's driver says about a command (`DID_*` in the kernel's
/// include/scsi/scsi_status.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostStatus(pub u16);

impl HostStatus {
    /// No complaint.
    pub const OK: HostStatus = HostStatus(0x00);
    /// The target did not answer the selection in time, or is gone.
    pub const NO_CONNECT: HostStatus = HostStatus(0x01);
    /// The bus stayed busy until the time was over.
    pub const BUS_BUSY: HostStatus = HostStatus(0x02);
    /// No such target.
    pub const BAD_TARGET: HostStatus = HostStatus(0x04);
    /// The command was aborted.
    pub const ABORT: HostStatus = HostStatus(0x05);
    /// An internal error of the adapter.
    pub const ERROR: HostStatus = HostStatus(0x07);
    /// The adapter's driver asks for a retry.
    pub const SOFT_ERROR: HostStatus = HostStatus(0x0b);
    /// The transport was disrupted and its class is recovering the link.
    pub const TRANSPORT_DISRUPTED: HostStatus = HostStatus(0x0e);
    /// The transport class gave up on the link.
    pub const TRANSPORT_FAILFAST: HostStatus = HostStatus(0x0f);
}

const HOST_NAMES: [&str; 0x15] = [
    "DID_OK",
    "DID_NO_CONNECT",
    "DID_BUS_BUSY",
    "DID_TIME_OUT",
    "DID_BAD_TARGET",
    "DID_ABORT",
    "DID_PARITY",
    "DID_ERROR",
    "DID_RESET",
    "DID_BAD_INTR",
    "DID_PASSTHROUGH",
    "DID_SOFT_ERROR",
    "DID_IMM_RETRY",
    "DID_REQUEUE",
    "DID_TRANSPORT_DISRUPTED",
    "DID_TRANSPORT_FAILFAST",
    "DID_TARGET_FAILURE",
    "DID_NEXUS_FAILURE",
    "DID_ALLOC_FAILURE",
    "DID_MEDIUM_ERROR",
    "DID_TRANSPORT_MARGINAL",
];

impl fmt::Display for HostStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match HOST_NAMES.get(usize::from(self.0)) {
            Some(name) => f.write_str(name),
            None => write!(f, "host status {:02x}h", self.0),
        }
    }
}

/// What the kernel's SCSI layer adds: a code in the low four bits, up to Linux 5.11 also a
/// suggestion in the next four. Later kernels only ever report 0 and [`DriverStatus::SENSE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriverStatus(pub u16);

impl DriverStatus {
    /// No complaint.
    pub const OK: DriverStatus = DriverStatus(0x00);
    /// There is sense data.
    pub const SENSE: DriverStatus = DriverStatus(0x08);

    /// The code without the suggestion.
    pub const fn code(self) -> DriverStatus {
        DriverStatus(self.0 & 0x0f)
    }
}

const DRIVER_NAMES: [&str; 9] = [
    "DRIVER_OK",
    "DRIVER_BUSY",
    "DRIVER_SOFT",
    "DRIVER_MEDIA",
    "DRIVER_ERROR",
    "DRIVER_INVALID",
    "DRIVER_TIMEOUT",
    "DRIVER_HARD",
    "DRIVER_SENSE",
];

impl fmt::Display for DriverStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DRIVER_NAMES.get(usize::from(self.code().0)) {
            Some(name) => f.write_str(name),
            None => write!(f, "driver status {:02x}h", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_has_a_name_and_shows_the_number_of_the_rest() {
        assert_eq!(ScsiStatus(0x02).to_string(), "CHECK CONDITION");
        assert_eq!(ScsiStatus(0x83).to_string(), "CHECK CONDITION");
        for (status, name) in [
            (0x00, "GOOD"),
            (0x04, "CONDITION MET"),
            (0x08, "BUSY"),
            (0x10, "INTERMEDIATE"),
            (0x14, "INTERMEDIATE-CONDITION MET"),
            (0x18, "RESERVATION CONFLICT"),
            (0x22, "COMMAND TERMINATED"),
            (0x28, "TASK SET FULL"),
            (0x30, "ACA ACTIVE"),
            (0x40, "TASK ABORTED"),
        ] {
            assert_eq!(ScsiStatus(status).to_string(), name);
        }
        assert_eq!(ScsiStatus(0x06).to_string(), "status 06h");
        assert_eq!(HostStatus(0x0e).to_string(), "DID_TRANSPORT_DISRUPTED");
        assert_eq!(HostStatus(0x14).to_string(), "DID_TRANSPORT_MARGINAL");
        assert_eq!(HostStatus(0x15).to_string(), "host status 15h");
        assert_eq!(DriverStatus(0x28).to_string(), "DRIVER_SENSE");
        assert_eq!(DriverStatus(0x0f).to_string(), "driver status 0fh");
    }
}
