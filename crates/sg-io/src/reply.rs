// SPDX-License-Identifier: LGPL-2.0-or-later

//! What came back for a command that was sent.

#![forbid(unsafe_code)]

use crate::{DriverStatus, HostStatus, ScsiStatus, Sense, SenseKey};
use std::fmt;

/// The reply to a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The target's status byte, not masked.
    pub status: ScsiStatus,
    /// The host adapter's status.
    pub host_status: HostStatus,
    /// The status of the kernel's SCSI layer.
    pub driver_status: DriverStatus,
    /// `SG_INFO_*` bits.
    pub info: u32,
    /// How many bytes of the buffer were not transferred.
    pub residual: i32,
    /// The sense data.
    pub sense: Sense,
}

impl Reply {
    /// The command succeeded, and all statuses are clear.
    pub const GOOD: Reply = Reply {
        status: ScsiStatus::GOOD,
        host_status: HostStatus::OK,
        driver_status: DriverStatus::OK,
        info: 0,
        residual: 0,
        sense: Sense::NONE,
    };

    /// `SG_INFO_CHECK`: the kernel has found one of the three statuses not clear.
    pub const fn needs_check(&self) -> bool {
        self.info & 1 != 0
    }

    /// Whether all three statuses are clear, taking `status` (masked or not) for the target's.
    pub fn is_clear(&self, status: ScsiStatus) -> bool {
        (status, self.host_status, self.driver_status)
            == (ScsiStatus::GOOD, HostStatus::OK, DriverStatus::OK)
    }

    /// Whether the transport had a problem that may be over soon, so that rdac and emc_clariion send
    /// the command again.
    pub const fn may_recover(&self) -> bool {
        self.needs_check()
            && matches!(
                self.host_status,
                HostStatus::BUS_BUSY
                    | HostStatus::ERROR
                    | HostStatus::SOFT_ERROR
                    | HostStatus::TRANSPORT_DISRUPTED
            )
    }

    /// The sense key by [`Sense::key_by_format_bit`], if `status` (masked or not) or the driver says
    /// that there is sense data.
    pub fn reported_key(&self, status: ScsiStatus) -> Option<SenseKey> {
        let reported = matches!(
            status,
            ScsiStatus::CHECK_CONDITION | ScsiStatus::COMMAND_TERMINATED
        ) || self.driver_status.code() == DriverStatus::SENSE;
        self.sense.key_by_format_bit().filter(|_| reported)
    }
}

/// The target's status, then the statuses that are not clear, then the sense data:
/// `CHECK CONDITION, Not Ready: Medium not present (02/3a/00)`.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if self.host_status != HostStatus::OK {
            write!(f, ", {}", self.host_status)?;
        }
        if self.driver_status != DriverStatus::OK {
            write!(f, ", {}", self.driver_status)?;
        }
        if let Some(decoded) = self.sense.decode() {
            write!(f, ", {decoded}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sense_counts_only_when_a_status_announces_it() {
        let mut bytes = [0; 32];
        bytes[..3].copy_from_slice(&[0x70, 0, 5]);
        let reply = Reply {
            sense: Sense::new(bytes, 18),
            ..Reply::GOOD
        };
        assert_eq!(reply.reported_key(ScsiStatus::GOOD), None);
        assert_eq!(reply.reported_key(ScsiStatus(0x82)), None);
        for status in [0x02, 0x22] {
            assert_eq!(
                reply.reported_key(ScsiStatus(status)),
                Some(SenseKey::ILLEGAL_REQUEST)
            );
        }
        for (driver, key) in [(0x08, Some(5)), (0x38, Some(5)), (0x09, None), (0x06, None)] {
            let reply = Reply {
                driver_status: DriverStatus(driver),
                ..reply
            };
            assert_eq!(
                reply.reported_key(ScsiStatus::GOOD),
                key.map(SenseKey),
                "driver status {driver:02x}"
            );
        }
    }

    #[test]
    fn a_transport_recovers_only_where_the_kernel_asks_for_a_look() {
        for host in 0..=u16::MAX {
            let reply = |info| Reply {
                host_status: HostStatus(host),
                info,
                ..Reply::GOOD
            };
            let expected = [0x2, 0x7, 0xb, 0xe].contains(&host);
            assert_eq!(reply(1).may_recover(), expected, "host status {host:02x}");
            assert!(!reply(0).may_recover() && !reply(2).may_recover());
        }
    }

    #[test]
    fn shows_what_is_not_clear() {
        assert_eq!(Reply::GOOD.to_string(), "GOOD");
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&[0x72, 2, 0x3a, 0]);
        let reply = Reply {
            status: ScsiStatus::CHECK_CONDITION,
            host_status: HostStatus::ERROR,
            driver_status: DriverStatus::SENSE,
            sense: Sense::new(bytes, 8),
            ..Reply::GOOD
        };
        assert_eq!(
            reply.to_string(),
            "CHECK CONDITION, DID_ERROR, DRIVER_SENSE, Not Ready: Medium not present (02/3a/00)"
        );
    }
}
