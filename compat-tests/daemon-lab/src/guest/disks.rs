// SPDX-License-Identifier: LGPL-2.0-or-later
//! The disks of a guest, each set up when a scenario first needs it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::disk::Disk;
use super::{command, lio, scsi_debug};
use crate::model::DiskKind;

/// The disks that have been set up.
#[derive(Default)]
pub(super) struct Disks(BTreeMap<DiskKind, Disk>);

impl Disks {
    pub(super) fn get(&mut self, kind: DiskKind) -> Result<Disk> {
        if let Some(disk) = self.0.get(&kind) {
            return Ok(disk.clone());
        }
        let disk = match kind {
            DiskKind::ScsiDebug => Disk::find(scsi_debug::DRIVER)?,
            DiskKind::Lio => {
                lio::create().context("the SCSI target of the kernel")?;
                command::settle_udev()?;
                Disk::find(lio::DRIVER)?
            }
        };
        self.0.insert(kind, disk.clone());
        Ok(disk)
    }
}
