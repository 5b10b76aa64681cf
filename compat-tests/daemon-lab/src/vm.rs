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

use crate::event::{Event, Record};
use crate::job::{Job, SHARED};
use crate::tree::Tree;

const KERNEL: &str = "linux.uml";
const MODULES: &str = "/usr/lib/uml/modules";
/// A guest that says nothing for so long is stuck. The longest silence of a scenario is a limit
/// of 90 s, a few of which may follow each other.
const SILENCE: Duration = Duration::from_secs(400);
/// The guest powers off by itself after so long, whatever happens to this program.
const LIFE: Duration = Duration::from_secs(3600);

/// Boots a guest on `tree` to do `job`; `hear` gets each record as it comes.
///
/// # Errors
/// When the guest did not come to its end; what it said before has been heard.
pub(crate) fn boot(
    tree: &Tree,
    job: &Job,
    directory: &Path,
    mut hear: impl FnMut(Record),
) -> Result<()> {
    job.store(directory)?;
    let shared = |name: &str| directory.join(name);
    fs::write(shared("init"), include_str!("../guest/init"))?;
    // This very program, even if a newer one has been built in its place meanwhile.
    fs::copy("/proc/self/exe", shared("lab"))?;
    let console = shared("console.log");
    let mut child = start(tree, directory, &console)?;
    let result = match child.stdout.take() {
        Some(stdout) => listen(&receive(stdout), &mut hear),
        None => Ok(()),
    };
    stop(&mut child)?;
    fs::remove_file(shared("lab"))?;
    result.with_context(|| format!("the guest's console is {}", console.display()))
}

fn start(tree: &Tree, directory: &Path, console: &Path) -> Result<Child> {
    let modules = modules()?;
    // The shell is the one program of the tree that can be relied on to mount the shared
    // directory, where the rest is.
    let init = format!(
        "\"mount -t hostfs -o {} lab {SHARED} && exec /bin/bash {SHARED}/init\"",
        directory.display()
    );
    // Should this program be killed, its guest goes with it; a guest that is asked to end may not.
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
        .arg(format!("LAB_LIFE={}", LIFE.as_secs()))
        .args(["init=/bin/sh", "--", "-c", &init])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(console)?)
        .spawn()
        .context(KERNEL)
}

/// The directory that holds one directory of modules, named after the kernel's release.
fn modules() -> Result<PathBuf> {
    let modules = PathBuf::from(MODULES);
    match modules.is_dir() {
        true => Ok(modules),
        false => bail!("{MODULES} is missing: the package user-mode-linux brings it"),
    }
}

fn receive(stdout: ChildStdout) -> Receiver<Record> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        // What is no record is the kernel's own talk before its console is up.
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

fn listen(records: &Receiver<Record>, hear: &mut impl FnMut(Record)) -> Result<()> {
    loop {
        match records.recv_timeout(SILENCE) {
            Ok(Record {
                event: Event::Done, ..
            }) => return Ok(()),
            Ok(record) => hear(record),
            Err(RecvTimeoutError::Timeout) => {
                bail!("the guest has said nothing for {} s", SILENCE.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("the guest died"),
        }
    }
}

/// Waits for the power-off; a guest that does not come to it is ended, first by SIGTERM, which
/// lets User-Mode Linux take its helper processes along.
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
