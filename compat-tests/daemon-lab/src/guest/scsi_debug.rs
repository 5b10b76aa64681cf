// SPDX-License-Identifier: LGPL-2.0-or-later
//! The kernel's simulated disk: one unit behind two SCSI hosts, with faults on demand.

use std::fs;

use anyhow::{Context, Result};

use super::disk::Disk;
use crate::model::PathId;

/// The driver of its hosts.
pub(super) const DRIVER: &str = "scsi_debug";
const PARAMETERS: &str = "/sys/bus/pseudo/drivers/scsi_debug";

/// Faults in place of good replies: bits of scsi_debug's `opts`.
#[derive(Clone, Copy)]
pub(super) enum Fault {
    /// No reply; the command ends by the kernel's time limit.
    NoReply = 0x4,
    /// Good data with RECOVERED ERROR.
    Recovered = 0x8,
    /// ABORTED COMMAND, a transport problem.
    Transport = 0x10,
    /// Fewer bytes than requested.
    Short = 0x100,
    /// The host refuses the command for now.
    Busy = 0x8000,
    /// The command is aborted in flight.
    Aborted = 0x1_0000,
}

/// Injects a fault into every `nth` command of both paths.
pub(super) fn inject(fault: Fault, nth: u32) -> Result<()> {
    set("opts", fault as u32)?;
    set("every_nth", nth)
}

/// When commands are answered.
#[derive(Clone, Copy)]
pub(super) enum Delay {
    /// At once, by a work queue. Only such commands can be aborted in flight.
    WorkQueue = -1,
    /// After a tick of the kernel's clock: the default.
    Tick = 1,
}

/// Sets the delay of replies.
///
/// # Errors
/// When commands are in flight.
pub(super) fn set_delay(delay: Delay) -> Result<()> {
    let file = format!("{PARAMETERS}/delay");
    fs::write(&file, (delay as i32).to_string()).context(file)
}

/// The number of commands that the driver has aborted.
pub(super) fn aborts() -> Result<u32> {
    let host = fs::read_dir("/proc/scsi/scsi_debug")?
        .next()
        .context("no host")??;
    let text = fs::read_to_string(host.path())?;
    let count = text
        .split("command aborts=")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    Ok(count.context("no count of aborts")?.trim().parse()?)
}

/// Removes a fault, and brings paths online that the kernel has taken offline for it.
pub(super) fn remove_fault(disk: &Disk) -> Result<()> {
    answer_all()?;
    PathId::BOTH
        .into_iter()
        .try_for_each(|path| disk.bring_online(path))
}

/// Unmaps the unit from both hosts.
pub(super) fn unmap_unit() -> Result<()> {
    set("max_luns", 0)
}

/// Maps the unit to both hosts.
pub(super) fn map_unit() -> Result<()> {
    set("max_luns", 1)
}

/// Undoes everything that the functions above can do, except the delay.
pub(super) fn repair() -> Result<()> {
    answer_all()?;
    map_unit()
}

fn answer_all() -> Result<()> {
    set("every_nth", 0)?;
    set("opts", 0)
}

fn set(parameter: &str, value: u32) -> Result<()> {
    let file = format!("{PARAMETERS}/{parameter}");
    fs::write(&file, value.to_string()).context(file)
}
