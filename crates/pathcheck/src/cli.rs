// SPDX-License-Identifier: LGPL-2.0-or-later

//! The command line.

use crate::checkers;
use crate::listing;
use crate::outcome::Outcome;
use crate::path::Path;
use crate::protocol::{Job, Options};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use std::ffi::OsString;
use std::path::Path as FilePath;
use std::sync::Arc;

/// Check disk paths as multipathd does
///
/// Every device is checked the way the daemon checks its paths: a checker starts a
/// request without waiting for it, and the answer, or that there is none in time,
/// says what state the path is in. For a path that is not up a second line tells
/// why: status and sense data of the reply, or the error. With no DEVICE, all disks
/// that the kernel lists are checked; those without content, such as loop devices
/// with nothing attached, are only counted. A DEVICE that is named is always checked.
///
/// All devices are checked at the same time. A device that hangs delays neither the
/// results of the others nor, beyond its time limit, the end of the program.
#[derive(Debug, Parser)]
#[command(name = "pathcheck", version, verbatim_doc_comment, after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Block devices, or image files, to check
    #[arg(value_name = "DEVICE")]
    devices: Vec<OsString>,

    /// Time limit of each check, in seconds
    ///
    /// The default is the daemon's: the timeout that sysfs gives for a SCSI
    /// device (/sys/block/sdX/device/timeout), 30 for any other. The daemon's
    /// setting checker_timeout is not read. With 0 each path is polled once, 5 ms
    /// after its check has started.
    #[arg(short, long, value_name = "SECONDS", verbatim_doc_comment)]
    timeout: Option<u32>,

    /// The checker to use
    ///
    /// auto takes the one that suits each device: for SCSI multipathd's default, tur, or
    /// what its built-in hardware table has for the array; a read (directio) for all
    /// else. A checker that is named is used on every device, suitable or not.
    #[arg(
        short,
        long,
        value_name = "NAME",
        default_value = AUTO,
        value_parser = PossibleValuesParser::new([AUTO].into_iter().chain(checkers::names())),
        verbatim_doc_comment
    )]
    checker: String,

    /// Let the checker rdac change the array's settings, as under multipathd
    ///
    /// The daemon's rdac first turns on the TAS bit of the array's control mode page
    /// (MODE SELECT, saved). Without this option pathcheck only ever asks and reads.
    #[arg(long, verbatim_doc_comment)]
    allow_mode_select: bool,

    /// Print one JSON document instead of the table
    #[arg(short, long)]
    pub(crate) json: bool,

    /// Check what standard input says (for the program's own use)
    #[arg(long, hide = true)]
    pub(crate) worker: bool,
}

const AUTO: &str = "auto";

const AFTER_HELP: &str = "\
States:
  up        the path works
  ghost     a passive path: it works after a failover
  down      it does not: a request failed, a read had no answer within the time
            limit, or sysfs says that the device does not run
  pending   the array is changing over, or sysfs says that the device is blocked
  timeout   no answer within the time limit, or the device could not even be
            looked up or opened in that time
  disconnected  the array no longer gives access to this unit
  wild      the checker does not suit the device; multipathd would keep the state
            it knew
  skipped   not named and without content: not checked
  error     could not be checked; the message says why

Exit status:
  0  every path that was checked is up
  1  some are not
  2  the command line was wrong
  3  something could not be checked, or there was nothing to check

Examples:
  pathcheck                        every disk
  pathcheck -t 5 /dev/sda /dev/sdb
  pathcheck --checker readsector0 /dev/sda
  pathcheck --json | jq -r '.paths[] | select(.state != \"up\") | .device'

The JSON document: {\"schema\": 1, \"paths\": [{device, kind, partition, size_bytes, vendor,
product, sysfs_state, checker, checker_reason, timeout_s, state, message, message_id,
latency_us, reason}]}; reason is null or {command, text, scsi_status, host_status,
driver_status, sense: null or {key, asc, ascq, text}, errno}. See docs/pathcheck.md.

Reading a block device takes the right to open it: usually root, or membership of
the group disk. A device that does not answer keeps a process named pathcheck in
the kernel until it does; that process keeps the device open, and nothing else.";

/// What is to be checked, in the order in which it is shown.
///
/// # Errors
/// When nothing is named and the kernel's list cannot be read, or is empty.
pub(crate) fn paths(arguments: &Arguments) -> Result<Vec<Path>, String> {
    let options = Arc::new(Options {
        checker: Some(arguments.checker.clone()).filter(|name| name != AUTO),
        mode_select: arguments.allow_mode_select,
        timeout: arguments.timeout,
        listed: arguments.devices.is_empty(),
    });
    let job = |device| Job {
        device,
        options: Arc::clone(&options),
    };
    if !arguments.devices.is_empty() {
        let named = arguments.devices.iter().cloned();
        return Ok(named.map(|device| Path::new(job(device))).collect());
    }
    let disks = listing::disks(FilePath::new("/sys"))
        .map_err(|error| format!("/sys/block: {error}: name the devices to check instead"))?;
    if disks.is_empty() {
        return Err("the kernel lists no disk in /sys/block: name the devices to check".to_owned());
    }
    let listed = disks.into_iter().map(|disk| {
        let mut path = Path::new(job(disk.device));
        path.info = Some(disk.info);
        path.outcome = disk.empty.map(|why| Outcome::Skipped(why.to_owned()));
        path
    });
    Ok(listed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
        let long = Arguments::command().render_long_help().to_string();
        for line in long.lines() {
            // This line grows with the list of checkers.
            let names = line.trim_start().starts_with("[possible values: ");
            assert!(names || line.chars().count() <= 100, "{long}");
        }
        assert!(!long.contains("--worker"));
    }
}
