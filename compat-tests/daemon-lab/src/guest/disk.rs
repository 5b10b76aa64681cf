//! A disk with two paths: what can be done to it through the SCSI layer alone.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::run;
use crate::event::Path;

/// Seconds after which the kernel aborts a read or write of the disk. The usual 30 s would only
/// make every scenario longer: the checkers have their own limit.
const IO_TIMEOUT: u32 = 5;
/// The kernel's default of [`Disk::tolerate_timeouts`].
const TIMEOUTS: u32 = 2;

/// Two SCSI devices that are one disk.
#[derive(Clone)]
pub(super) struct Disk {
    addresses: [Address; 2],
}

/// Host, channel, target, unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address(String);

impl Address {
    pub(super) fn new(text: &str) -> Address {
        Address(text.to_owned())
    }

    /// True if multipathd means this device when it prints `text`.
    pub(super) fn is(&self, text: &str) -> bool {
        self.0 == text
    }

    fn host(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// The rest as a host's `scan` attribute takes it.
    fn unit(&self) -> String {
        self.0.split(':').skip(1).collect::<Vec<_>>().join(" ")
    }
}

impl Disk {
    /// The disk whose two devices hang on hosts of this driver.
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

    fn address(&self, path: Path) -> &Address {
        let [a, b] = &self.addresses;
        match path {
            Path::A => a,
            Path::B => b,
        }
    }

    fn attribute(&self, path: Path, name: &str) -> PathBuf {
        format!(
            "/sys/class/scsi_device/{}/device/{name}",
            self.address(path).0
        )
        .into()
    }

    /// The path's block device node.
    fn node(&self, path: Path) -> Result<String> {
        let block = fs::read_dir(self.attribute(path, "block"))?.next();
        let name = block.context("no block device")??.file_name();
        Ok(format!("/dev/{}", name.to_string_lossy()))
    }

    fn write(&self, path: Path, name: &str, value: &str) -> Result<()> {
        let attribute = self.attribute(path, name);
        // Some attributes refuse a value without the newline of echo(1).
        fs::write(&attribute, format!("{value}\n")).with_context(|| attribute.display().to_string())
    }

    /// Sets the SCSI device's state: `offline` or `running`.
    pub(super) fn set_state(&self, path: Path, state: &str) -> Result<()> {
        self.write(path, "state", state)
    }

    pub(super) fn delete(&self, path: Path) -> Result<()> {
        self.write(path, "delete", "1")
    }

    /// How many reads and writes in a row may time out, the error recovery succeeding, before the
    /// disk driver takes the path offline.
    pub(super) fn tolerate_timeouts(&self, path: Path, count: u32) -> Result<()> {
        let address = &self.address(path).0;
        let limit = format!("/sys/class/scsi_disk/{address}/max_medium_access_timeouts");
        fs::write(&limit, count.to_string()).context(limit)
    }

    /// Looks for the unit again.
    pub(super) fn rescan(&self, path: Path) -> Result<()> {
        let address = self.address(path);
        let scan = format!("/sys/class/scsi_host/host{}/scan", address.host());
        fs::write(&scan, address.unit()).context(scan)?;
        self.write(path, "timeout", &IO_TIMEOUT.to_string())
    }

    /// START STOP UNIT through one path.
    pub(super) fn spin(&self, path: Path, start: bool) -> Result<()> {
        let way = if start { "--start" } else { "--stop" };
        run("sg_start", &[way, &self.node(path)?])
    }

    /// A device reset, which leaves a unit attention for the next command.
    pub(super) fn reset(&self, path: Path) -> Result<()> {
        run("sg_reset", &["--device", &self.node(path)?])
    }

    /// Puts a path back that the kernel's error recovery has taken offline, as a transport does
    /// when the unit answers again.
    pub(super) fn revive(&self, path: Path) -> Result<()> {
        let state = fs::read_to_string(self.attribute(path, "state"))?;
        if state.trim() == "offline" {
            self.set_state(path, "running")
        } else {
            Ok(())
        }
    }

    /// Repairs whatever a scenario has left behind.
    pub(super) fn repair(&self) -> Result<()> {
        for path in Path::BOTH {
            if !self.attribute(path, "state").exists() {
                self.rescan(path)?;
            }
            self.set_state(path, "running")?;
            self.write(path, "timeout", &IO_TIMEOUT.to_string())?;
            self.tolerate_timeouts(path, TIMEOUTS)?;
        }
        Ok(())
    }
}
