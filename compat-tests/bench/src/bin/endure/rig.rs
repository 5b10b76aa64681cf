//! One host with its devices.

use crate::model::{Behaviour, State};
use crate::options::checker_of;
use crate::tally::Laps;
use bench::driver::{self, Host};
use compat_tests::lab::Lab;
use compat_tests::layout::Era;
use compat_tests::{Result, Trouble};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// How long the host may take for anything before its devices are let go.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long things may take to come to rest.
const REST: Duration = Duration::from_secs(15);

/// What paths are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Files of a file system that can hang, and loop devices over such files.
    Aio,
    /// SCSI devices of the host's own.
    Scsi,
}

/// A host, its devices, and the longest calls it made.
pub(crate) struct Rig {
    pub(crate) checker: String,
    pub(crate) kind: Kind,
    host: Host,
    lab: Lab,
    /// Which device each path is of.
    devices: Vec<usize>,
    pub(crate) laps: Laps,
}

/// What is used before there is any checker, and has to be so again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) resident: u64,
    pub(crate) contexts: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

/// What a call answered, and how long it slept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called {
    pub(crate) answer: i64,
    pub(crate) asleep: Duration,
}

impl Rig {
    /// A host with this plugin and a path for each entry of `devices`, its device. Devices of AIO
    /// paths are files; those from `loops_from` on are seen through a loop device.
    pub(crate) fn new(
        plugin: &Path,
        era: Era,
        ours: bool,
        devices: &[usize],
        loops_from: usize,
    ) -> Result<Rig> {
        let checker = checker_of(plugin).unwrap_or_default();
        let kind = if checker == "directio" {
            Kind::Aio
        } else {
            Kind::Scsi
        };
        let mut command = driver::command(era, (!ours).then_some(plugin), &[])?;
        if checker == "cciss_tur" {
            // It complains there, like its original.
            command.stderr(Stdio::null());
        }
        let mut rig = Rig {
            checker,
            kind,
            host: Host::start(command)?,
            lab: Lab::default(),
            devices: devices.to_vec(),
            laps: Laps::default(),
        };
        // Without the right to it, the tests are more easily disturbed.
        let _ = rig.tell("urgent");
        let mut files = Vec::new();
        let count = devices.iter().max().map_or(0, |last| last + 1);
        for device in 0..count {
            files.push(match kind {
                Kind::Scsi => "stub".to_owned(),
                Kind::Aio if device >= loops_from => {
                    rig.ask(&format!("stall-loop {device} 512"))?
                }
                Kind::Aio => rig.ask(&format!("stall-file {device}"))?,
            });
        }
        let names: Vec<&str> = devices
            .iter()
            .filter_map(|device| files.get(*device).map(String::as_str))
            .collect();
        rig.tell(&format!("open {} {}", devices.len(), names.join(" ")))?;
        rig.tell(&format!("load {}", plugin.display()))?;
        rig.tell("paths")?;
        Ok(rig)
    }

    /// What the checker says of a device that answers: success and zeroes, if it is a SCSI device.
    pub(crate) fn healthy(&self) -> Option<State> {
        Some(match self.checker.as_str() {
            "rdac" => State::Ghost,
            "emc_clariion" => State::Down,
            _ => State::Up,
        })
    }

    /// How many paths there are.
    pub(crate) fn paths(&self) -> usize {
        self.devices.len()
    }

    /// The device of a path.
    pub(crate) fn device_of(&self, path: usize) -> usize {
        self.devices.get(path).copied().unwrap_or(0)
    }

    /// Changes a device.
    pub(crate) fn set(&mut self, device: usize, behaviour: Behaviour) -> Result<()> {
        match self.kind {
            Kind::Scsi => {
                let word = match behaviour {
                    Behaviour::Answers => "answers",
                    Behaviour::Hangs => "hangs",
                    Behaviour::Fails => "gone",
                };
                for path in 0..self.paths() {
                    if self.device_of(path) == device {
                        self.tell(&format!("device {path} {word}"))?;
                    }
                }
            }
            Kind::Aio => {
                let errno = match behaviour {
                    Behaviour::Fails => libc::EIO,
                    _ => 0,
                };
                self.ask(&format!("fail {device} {errno}"))?;
                match behaviour {
                    Behaviour::Hangs => self.ask(&format!("hold {device}"))?,
                    Behaviour::Answers => self.ask(&format!("let-go {device} data"))?,
                    Behaviour::Fails => {
                        self.ask(&format!("let-go {device} error:{}", libc::EIO))?
                    }
                };
            }
        }
        Ok(())
    }

    /// Calls a function of the plugin.
    pub(crate) fn call(&mut self, function: &'static str, arguments: &str) -> Result<Called> {
        let line = format!("call {function} {arguments}");
        self.host.begin(&line)?;
        if !self.host.wait(PATIENCE)? {
            // Only C's calls get here; let it be over.
            self.lab.let_all_go();
        }
        let answer = self.host.end(&line)?;
        let span = |name| Duration::from_nanos(answer.get(name));
        let (wall, asleep) = (span("wall"), span("asleep"));
        self.laps.note(function, wall, asleep);
        Ok(Called {
            answer: answer.get("answer") as i64,
            asleep,
        })
    }

    /// What is used now.
    pub(crate) fn usage(&mut self) -> Result<Usage> {
        let usage = self.host.tell("usage")?;
        Ok(Usage {
            resident: usage.get("resident"),
            contexts: usage.get("aio"),
            descriptors: usage.get("fds"),
            threads: usage.get("threads"),
        })
    }

    /// Waits until the process uses no more threads and AIO contexts than `base`; `libcheck_reset`
    /// sends idle threads home.
    pub(crate) fn rest(&mut self, base: Usage) -> Result<()> {
        let start = Instant::now();
        loop {
            self.call("reset", "")?;
            let now = self.usage()?;
            let mut like_base = now;
            like_base.resident = base.resident;
            if like_base == base {
                return Ok(());
            }
            if start.elapsed() > REST {
                return Err(Trouble::Broken(format!(
                    "after {REST:?}: {now:?}, not {base:?}"
                )));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Looks at every path; how many verdicts are missing.
    pub(crate) fn pending(&mut self) -> Result<u64> {
        Ok(self.host.tell("collect")?.get("pending"))
    }

    /// Tells the host something that does not matter here what it answers.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        self.host.tell(line).map(drop)
    }

    fn ask(&mut self, request: &str) -> Result<String> {
        let words: Vec<String> = request.split(' ').map(str::to_owned).collect();
        Ok(self
            .lab
            .serve(&words)?
            .into_iter()
            .next()
            .unwrap_or_default())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // A process with requests in flight cannot end.
        self.lab.let_all_go();
    }
}
