//! The kernel's simulated disk: one unit seen through two SCSI hosts, with bad replies on demand.

use std::fs;

use anyhow::{Context, Result};

use super::disk::Disk;

/// The name of its hosts' driver.
pub(super) const DRIVER: &str = "scsi_debug";
const PARAMETERS: &str = "/sys/bus/pseudo/drivers/scsi_debug";

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

/// Every `nth` command of both paths gets this reply.
pub(super) fn reply(reply: Reply, nth: u32) -> Result<()> {
    set("opts", reply as u32)?;
    set("every_nth", nth)
}

/// Sets when commands are answered: after a tick of the kernel's clock, or by a work queue at once.
/// Only commands of the latter kind can be aborted under way. Refused while commands are under way.
pub(super) fn answer_at_once(at_once: bool) -> Result<()> {
    let file = format!("{PARAMETERS}/delay");
    fs::write(&file, if at_once { "-1" } else { "1" }).context(file)
}

/// How many commands the driver has aborted so far.
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

/// Every command gets the good reply again.
pub(super) fn reply_well(disk: &Disk) -> Result<()> {
    set("every_nth", 0)?;
    set("opts", 0)?;
    crate::event::Path::BOTH
        .into_iter()
        .try_for_each(|path| disk.revive(path))
}

/// Takes the unit away from both hosts, or gives it back.
pub(super) fn map_unit(mapped: bool) -> Result<()> {
    set("max_luns", u32::from(mapped))
}

/// Everything as it was at the beginning.
pub(super) fn repair() -> Result<()> {
    set("every_nth", 0)?;
    set("opts", 0)?;
    map_unit(true)
}

fn set(parameter: &str, value: u32) -> Result<()> {
    let file = format!("{PARAMETERS}/{parameter}");
    fs::write(&file, value.to_string()).context(file)
}
