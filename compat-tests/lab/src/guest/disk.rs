//! The faulty disk: one scsi_debug unit seen through two SCSI hosts, and what can go wrong with it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::run;
use crate::event::Path;

const DRIVER: &str = "/sys/bus/pseudo/drivers/scsi_debug";

/// Replies scsi_debug can put in the place of good ones: bits of its `opts`.
#[derive(Clone, Copy)]
pub(super) enum Reply {
    /// The command is swallowed; it ends by the kernel's time limit only.
    Never = 0x4,
    /// Good data with RECOVERED ERROR.
    Recovered = 0x8,
    /// ABORTED COMMAND, a transport problem.
    Transport = 0x10,
    /// Fewer bytes than asked for.
    Short = 0x100,
    /// The host refuses the command for now.
    Busy = 0x8000,
    /// The command is aborted under way.
    Aborted = 0x1_0000,
}

/// Two SCSI hosts, one unit.
pub(super) struct Disk {
    hosts: [u32; 2],
}

impl Disk {
    /// Finds the hosts scsi_debug has registered.
    pub(super) fn find() -> Result<Disk> {
        let mut hosts = Vec::new();
        for entry in fs::read_dir("/sys/class/scsi_host").context("no SCSI host")? {
            let entry = entry?;
            let name = fs::read_to_string(entry.path().join("proc_name"))?;
            let number = entry
                .file_name()
                .to_string_lossy()
                .trim_start_matches("host")
                .parse()?;
            if name.trim() == "scsi_debug" {
                hosts.push(number);
            }
        }
        hosts.sort_unstable();
        match hosts.as_slice() {
            &[a, b] => Ok(Disk { hosts: [a, b] }),
            other => bail!("scsi_debug has {} hosts instead of 2", other.len()),
        }
    }

    pub(super) fn hosts(&self) -> [u32; 2] {
        self.hosts
    }

    fn host(&self, path: Path) -> u32 {
        let [a, b] = self.hosts;
        match path {
            Path::A => a,
            Path::B => b,
        }
    }

    fn attribute(&self, path: Path, name: &str) -> PathBuf {
        format!(
            "/sys/class/scsi_device/{}:0:0:0/device/{name}",
            self.host(path)
        )
        .into()
    }

    /// The path's block device node.
    pub(super) fn node(&self, path: Path) -> Result<String> {
        let entry = fs::read_dir(self.attribute(path, "block"))?
            .next()
            .context("no block device")??;
        Ok(format!("/dev/{}", entry.file_name().to_string_lossy()))
    }

    fn write(&self, path: Path, name: &str, value: &str) -> Result<()> {
        let attribute = self.attribute(path, name);
        // Some attributes refuse a value without the newline of echo(1).
        fs::write(&attribute, format!("{value}\n")).with_context(|| attribute.display().to_string())
    }

    pub(super) fn exists(&self, path: Path) -> bool {
        self.attribute(path, "state").exists()
    }

    /// Sets the SCSI device's state: `offline` or `running`.
    pub(super) fn set_state(&self, path: Path, state: &str) -> Result<()> {
        self.write(path, "state", state)
    }

    /// Sets how long the kernel waits for a read or write before it aborts it, in seconds.
    pub(super) fn set_timeout(&self, path: Path, seconds: u32) -> Result<()> {
        self.write(path, "timeout", &seconds.to_string())
    }

    pub(super) fn delete(&self, path: Path) -> Result<()> {
        self.write(path, "delete", "1")
    }

    /// Looks for the unit again.
    pub(super) fn rescan(&self, path: Path) -> Result<()> {
        let scan = format!("/sys/class/scsi_host/host{}/scan", self.host(path));
        fs::write(&scan, "0 0 0").context(scan)
    }

    /// Every `nth` command of both paths gets this reply.
    pub(super) fn reply(&self, reply: Reply, nth: u32) -> Result<()> {
        driver("opts", reply as u32)?;
        driver("every_nth", nth)
    }

    /// Every command gets the good reply again. A device the kernel has taken offline meanwhile
    /// is put back, as a transport does when the unit returns.
    pub(super) fn reply_well(&self) -> Result<()> {
        driver("every_nth", 0)?;
        driver("opts", 0)?;
        for path in Path::BOTH {
            if self.state(path).is_ok_and(|state| state == "offline") {
                self.set_state(path, "running")?;
            }
        }
        Ok(())
    }

    fn state(&self, path: Path) -> Result<String> {
        Ok(fs::read_to_string(self.attribute(path, "state"))?
            .trim()
            .to_owned())
    }

    /// Takes the unit away from both hosts, or gives it back.
    pub(super) fn map_unit(&self, mapped: bool) -> Result<()> {
        driver("max_luns", u32::from(mapped))
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

    /// Repairs whatever a scenario has left behind, and proves that both paths are there.
    pub(super) fn repair(&self) -> Result<()> {
        self.reply_well()?;
        self.map_unit(true)?;
        for path in Path::BOTH {
            if !self.exists(path) {
                self.rescan(path)?;
            }
            self.set_state(path, "running")?;
            self.set_timeout(path, IO_TIMEOUT)?;
            self.spin(path, true)?;
            ensure!(self.exists(path), "path {path} is missing");
        }
        Ok(())
    }
}

/// Seconds after which the kernel aborts a read or write of the disk. The usual 30 s would only
/// make every scenario longer: the checkers have their own limit.
const IO_TIMEOUT: u32 = 5;

fn driver(parameter: &str, value: u32) -> Result<()> {
    let file = format!("{DRIVER}/{parameter}");
    fs::write(&file, value.to_string()).context(file)
}
