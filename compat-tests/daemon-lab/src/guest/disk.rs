// SPDX-License-Identifier: LGPL-2.0-or-later
//! A disk with two paths, and what the SCSI layer can do to it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::command::run;
use crate::model::PathId;

/// Seconds after which the kernel aborts a read or write. The default of 30 s would make scenarios
/// longer and test nothing more: the checkers have a limit of their own.
const IO_TIMEOUT: u32 = 5;
/// The kernel's default for [`Disk::tolerate_timeouts`].
const TIMEOUTS: u32 = 2;

/// Two SCSI devices that are paths to one disk.
#[derive(Clone)]
pub(super) struct Disk {
    addresses: [Address; 2],
}

/// A SCSI address: host, channel, target, unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address(String);

impl Address {
    pub(super) fn new(text: &str) -> Address {
        Address(text.to_owned())
    }

    /// True if `text` is this address.
    pub(super) fn is(&self, text: &str) -> bool {
        self.0 == text
    }

    fn host(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// Channel, target and unit in the form of a host's `scan` attribute.
    fn unit(&self) -> String {
        self.0.split(':').skip(1).collect::<Vec<_>>().join(" ")
    }
}

/// A state of a SCSI device in sysfs.
#[derive(Clone, Copy)]
pub(super) enum ScsiState {
    Offline,
    Running,
}

impl ScsiState {
    fn name(self) -> &'static str {
        match self {
            ScsiState::Offline => "offline",
            ScsiState::Running => "running",
        }
    }
}

impl Disk {
    /// The disk behind two hosts of this driver.
    ///
    /// # Errors
    /// When there are not exactly two devices.
    pub(super) fn find(driver: &str) -> Result<Disk> {
        let mut addresses = Vec::new();
        for entry in fs::read_dir("/sys/class/scsi_disk").context("no SCSI disk")? {
            let address = Address::new(&entry?.file_name().to_string_lossy());
            let name = format!("/sys/class/scsi_host/host{}/proc_name", address.host());
            if fs::read_to_string(&name).context(name)?.trim() == driver {
                addresses.push(address);
            }
        }
        addresses.sort();
        match <[Address; 2]>::try_from(addresses) {
            Ok(addresses) => Ok(Disk { addresses }),
            Err(found) => bail!("{driver} has {} disks instead of 2", found.len()),
        }
    }

    pub(super) fn addresses(&self) -> &[Address; 2] {
        &self.addresses
    }

    fn address(&self, path: PathId) -> &Address {
        path.of(&self.addresses)
    }

    fn attribute(&self, path: PathId, name: &str) -> PathBuf {
        format!(
            "/sys/class/scsi_device/{}/device/{name}",
            self.address(path).0
        )
        .into()
    }

    /// The block device node of a path.
    fn node(&self, path: PathId) -> Result<String> {
        let block = fs::read_dir(self.attribute(path, "block"))?.next();
        let name = block.context("no block device")??.file_name();
        Ok(format!("/dev/{}", name.to_string_lossy()))
    }

    fn write(&self, path: PathId, name: &str, value: &str) -> Result<()> {
        let attribute = self.attribute(path, name);
        // Some attributes refuse a value without a newline.
        fs::write(&attribute, format!("{value}\n")).with_context(|| attribute.display().to_string())
    }

    /// Sets the state of the SCSI device.
    pub(super) fn set_state(&self, path: PathId, state: ScsiState) -> Result<()> {
        self.write(path, "state", state.name())
    }

    /// Removes the SCSI device.
    pub(super) fn delete(&self, path: PathId) -> Result<()> {
        self.write(path, "delete", "1")
    }

    /// Sets how many consecutive reads and writes may time out before the disk driver takes the path
    /// offline although error recovery succeeds.
    pub(super) fn tolerate_timeouts(&self, path: PathId, count: u32) -> Result<()> {
        let address = &self.address(path).0;
        let limit = format!("/sys/class/scsi_disk/{address}/max_medium_access_timeouts");
        fs::write(&limit, count.to_string()).context(limit)
    }

    /// Scans for the SCSI device.
    pub(super) fn rescan(&self, path: PathId) -> Result<()> {
        let address = self.address(path);
        let scan = format!("/sys/class/scsi_host/host{}/scan", address.host());
        fs::write(&scan, address.unit()).context(scan)?;
        self.write(path, "timeout", &IO_TIMEOUT.to_string())
    }

    /// Sends START STOP UNIT with the start bit through one path.
    pub(super) fn start_unit(&self, path: PathId) -> Result<()> {
        run("sg_start", &["--start", &self.node(path)?])
    }

    /// Sends START STOP UNIT without the start bit through one path.
    pub(super) fn stop_unit(&self, path: PathId) -> Result<()> {
        run("sg_start", &["--stop", &self.node(path)?])
    }

    /// Resets the device, which leaves a unit attention for the next command.
    pub(super) fn reset(&self, path: PathId) -> Result<()> {
        run("sg_reset", &["--device", &self.node(path)?])
    }

    /// Sets a path to running that the kernel's error recovery has taken offline, as a transport does
    /// when the unit answers again.
    pub(super) fn bring_online(&self, path: PathId) -> Result<()> {
        let state = fs::read_to_string(self.attribute(path, "state"))?;
        if state.trim() == ScsiState::Offline.name() {
            self.set_state(path, ScsiState::Running)
        } else {
            Ok(())
        }
    }

    /// Undoes everything that the methods above can do.
    pub(super) fn repair(&self) -> Result<()> {
        for path in PathId::BOTH {
            if !self.attribute(path, "state").exists() {
                self.rescan(path)?;
            }
            self.set_state(path, ScsiState::Running)?;
            self.write(path, "timeout", &IO_TIMEOUT.to_string())?;
            self.tolerate_timeouts(path, TIMEOUTS)?;
        }
        Ok(())
    }
}
