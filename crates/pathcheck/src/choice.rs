// SPDX-License-Identifier: LGPL-2.0-or-later

//! Which checker suits a device.
//!
//! As multipathd chooses, as far as sysfs has the information: the daemon also queries the device
//! itself (page C9h, asymmetric access), which nothing here does before the check.

use crate::device_info::DeviceInfo;
use crate::hwtable;
use checkers::checker_cciss_tur::CcissTur;
use checkers::checker_directio::Directio;
use checkers::checker_tur::Tur;
use checkers_core::{Checker, Probe};

/// A checker's name and why it is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) checker: String,
    pub(crate) reason: String,
}

impl Choice {
    /// The user's choice.
    pub(crate) fn asked_for(checker: &str) -> Choice {
        Choice::new(checker, "asked for")
    }

    /// The one for a device, by what it is.
    pub(crate) fn for_device(info: &DeviceInfo) -> Choice {
        let vendor = info.vendor.as_deref().unwrap_or_default();
        let product = info.product.as_deref().unwrap_or_default();
        match info.kind.as_str() {
            "scsi" => match hwtable::checker(vendor, product) {
                Some(checker) => {
                    let reason =
                        format!("multipathd's hardware table has it for {vendor} {product}");
                    Choice::new(checker, &reason)
                }
                None => Choice::new(<Tur as Probe>::NAME, "multipathd's default for SCSI"),
            },
            "cciss" => Choice::new(
                <CcissTur as Probe>::NAME,
                "the cciss driver takes SCSI commands in its own form",
            ),
            "dasd" => Choice::new(
                Directio::NAME,
                "multipathd's hardware table has it for DASD",
            ),
            "nvme" => Choice::new(
                Directio::NAME,
                "NVMe takes no SCSI commands, and multipathd's choice, none, asks nothing",
            ),
            _ => Choice::new(
                Directio::NAME,
                "takes no SCSI commands, so it is asked to read",
            ),
        }
    }

    fn new(checker: &str, reason: &str) -> Choice {
        Choice {
            checker: checker.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_kind_and_array() {
        for (kind, vendor, product, checker, reason) in [
            ("scsi", "ATA", "QEMU HARDDISK", "tur", "default"),
            (
                "scsi",
                "DGC",
                "VRAID",
                "emc_clariion",
                "table has it for DGC VRAID",
            ),
            ("scsi", "IBM", "1814      FAStT", "rdac", "table"),
            ("scsi", "DEC", "HSG80", "hp_sw", "table"),
            ("scsi", "LIO-ORG", "disk", "directio", "table"),
            ("cciss", "", "", "cciss_tur", "cciss driver"),
            ("dasd", "", "", "directio", "DASD"),
            ("nvme", "", "", "directio", "NVMe"),
            ("virtio", "", "", "directio", "asked to read"),
            ("loop", "", "", "directio", "asked to read"),
            ("dm", "", "", "directio", "asked to read"),
            ("zram", "", "", "directio", "asked to read"),
            ("file", "", "", "directio", "asked to read"),
            ("unknown", "", "", "directio", "asked to read"),
            // Only SCSI devices are looked up in the table.
            ("loop", "DGC", "VRAID", "directio", "asked to read"),
        ] {
            let choice = Choice::for_device(&DeviceInfo {
                kind: kind.to_owned(),
                vendor: Some(vendor.to_owned()),
                product: Some(product.to_owned()),
                ..DeviceInfo::file(0)
            });
            assert_eq!(choice.checker, checker, "{kind} {vendor} {product}");
            assert!(choice.reason.contains(reason), "{}", choice.reason);
        }
    }
}
