// SPDX-License-Identifier: LGPL-2.0-or-later
//! One User-Mode Linux guest, from boot to power-off.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::tree::Tree;
use crate::model::{Event, Job, Record, job::SHARED};

const KERNEL: &str = "linux.uml";
const MODULES: &str = "/usr/lib/uml/modules";
/// A guest that sends no record for this long is taken for hung. In a scenario several limits of
/// 90 s may pass without a record.
const SILENCE: Duration = Duration::from_secs(400);
/// The guest powers off by itself after this time, even if this program is gone.
const GUEST_LIMIT: Duration = Duration::from_secs(3600);

/// Boots a guest from `tree` and has it run `job`. Calls `on_record` for each record as it arrives.
///
/// # Errors
/// When the guest did not finish; its records until then have been passed on.
pub(crate) fn boot(
    tree: &Tree,
    job: &Job,
    directory: &Path,
    mut on_record: impl FnMut(Record),
) -> Result<()> {
    job.store(directory)?;
    let shared = |name: &str| directory.join(name);
    fs::write(shared("init"), include_str!("../../guest/init"))?;
    // A rebuild may have replaced the file of the running program; /proc/self/exe is the original.
    fs::copy("/proc/self/exe", shared("lab"))?;
    let console = shared("console.log");
    let mut child = start(tree, directory, &console)?;
    let result = match child.stdout.take() {
        Some(stdout) => listen(&receive(stdout), &mut on_record),
        None => Ok(()),
    };
    stop(&mut child)?;
    fs::remove_file(shared("lab"))?;
    result.with_context(|| format!("the guest's console is {}", console.display()))
}

fn start(tree: &Tree, directory: &Path, console: &Path) -> Result<Child> {
    let modules = modules()?;
    // Every tree has a shell. It mounts the shared directory, which has the rest.
    let init = format!(
        "\"mount -t hostfs -o {} lab {SHARED} && exec /bin/bash {SHARED}/init\"",
        directory.display()
    );
    // If this program is killed, its guest is killed too. A signal other than KILL may not end it.
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", KERNEL])
        .args([
            "mem=512M",
            "root=/dev/root",
            "rootfstype=hostfs",
            "ro",
            "quiet",
            "selinux=0",
        ])
        .arg(format!("rootflags={}", tree.root.display()))
        .args(["con=null", "con0=null,fd:2", "ssl=null", "ssl0=null,fd:1"])
        .arg(format!("LAB_MODULES={}", modules.display()))
        .arg(format!("LAB_LIMIT={}", GUEST_LIMIT.as_secs()))
        .args(["init=/bin/sh", "--", "-c", &init])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(console)?)
        .spawn()
        .context(KERNEL)
}

/// The directory of the kernel's modules. It has one subdirectory per kernel release.
fn modules() -> Result<PathBuf> {
    let modules = PathBuf::from(MODULES);
    match modules.is_dir() {
        true => Ok(modules),
        false => bail!("{MODULES} is missing: it is part of the package user-mode-linux"),
    }
}

fn receive(stdout: ChildStdout) -> Receiver<Record> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        // Lines that are no records are the kernel's, from before its console is up.
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Ok(record) = serde_json::from_str(line.trim_end()) {
                if sender.send(record).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}

fn listen(records: &Receiver<Record>, on_record: &mut impl FnMut(Record)) -> Result<()> {
    loop {
        match records.recv_timeout(SILENCE) {
            Ok(Record {
                event: Event::Done, ..
            }) => return Ok(()),
            Ok(record) => on_record(record),
            Err(RecvTimeoutError::Timeout) => {
                bail!("the guest has sent nothing for {} s", SILENCE.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("the guest died"),
        }
    }
}

/// Waits for the power-off. A guest that does not power off is ended: by SIGTERM, on which
/// User-Mode Linux ends its helper processes too, then by SIGKILL.
fn stop(child: &mut Child) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGKILL)] {
        if let Some(signal) = signal {
            kill(pid, signal)?;
        }
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) {
            if child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    bail!("the guest (process {pid}) does not end")
}
