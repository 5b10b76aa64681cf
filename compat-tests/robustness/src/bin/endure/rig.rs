//! One host with its devices.

use crate::model::{Behaviour, Dialect, State};
use crate::options::Subject;
use crate::tally::Laps;
use bench::driver::{self, Host};
use harness::abi::Abi;
use harness::devices::Lab;
use harness::{Result, Trouble};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Longer than any call may be held up.
pub(crate) const LIMIT: Duration = Duration::from_millis(5);

/// How long our plugins may take for a call before its devices are let go: so much that who waits
/// for a device is told from who does not, whatever the machine does.
const PATIENCE: Duration = Duration::from_secs(2);

/// Likewise for C's, which are known to wait: long enough to show it.
const PATIENCE_WITH_C: Duration = Duration::from_millis(30);

/// How long a SCSI device hangs at most, for a call that waits on the very thread that could let its
/// device go.
const SCSI_MERCY: [Duration; 2] = [Duration::from_secs(20), Duration::from_millis(50)];

/// How long things may take to come to rest.
const REST: Duration = Duration::from_secs(20);

/// How long a path is refused, at most, because others have used up the AIO events of the system.
const SHORTAGE: Duration = Duration::from_secs(10);

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
    subject: Subject,
    kind: Kind,
    host: Host,
    lab: Lab,
    /// Which device each path is of, and the words that open it.
    devices: Vec<usize>,
    files: Vec<String>,
    laps: Laps,
}

/// What is used before there is any checker, and has to be so again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) resident: u64,
    pub(crate) contexts: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

/// What a call answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called {
    pub(crate) answer: i64,
    /// It came back only when its device had been let go.
    pub(crate) endless: bool,
}

impl Rig {
    /// A host with this plugin and a path for each entry of `devices`, its device. Devices of AIO
    /// paths are files; those from `loops_from` on are seen through a loop device.
    pub(crate) fn new(subject: &Subject, devices: &[usize], loops_from: usize) -> Result<Rig> {
        let kind = if subject.checker == "directio" {
            Kind::Aio
        } else {
            Kind::Scsi
        };
        let c_plugin = subject.c.map(|_| subject.plugin.as_path());
        let mut command = driver::command(subject.abi, c_plugin, &[])?;
        if subject.checker == "cciss_tur" {
            // It complains there, like its original.
            command.stderr(Stdio::null());
        }
        let mut rig = Rig {
            subject: subject.clone(),
            kind,
            host: Host::start(command)?,
            lab: Lab::default(),
            devices: devices.to_vec(),
            files: Vec::new(),
            laps: Laps::default(),
        };
        let [mercy, mercy_with_c] = SCSI_MERCY;
        let mercy = if rig.ours() { mercy } else { mercy_with_c };
        rig.tell(&format!("patience {}", mercy.as_millis()))?;
        let count = devices.iter().max().map_or(0, |last| last + 1);
        for device in 0..count {
            let file = match kind {
                Kind::Scsi => "stub".to_owned(),
                Kind::Aio if device >= loops_from => {
                    rig.ask(&format!("stall-loop {device} 512"))?
                }
                Kind::Aio => rig.ask(&format!("stall-file {device}"))?,
            };
            rig.files.push(file);
        }
        rig.load()?;
        Ok(rig)
    }

    /// Puts the host before all ordinary processes. Without the right to it, its calls are more easily
    /// held up by others.
    pub(crate) fn hurry(&mut self) {
        let _ = self.tell("urgent");
    }

    /// Loads the plugin, again perhaps, and opens the paths.
    pub(crate) fn load(&mut self) -> Result<()> {
        let files = self.devices.iter().filter_map(|one| self.files.get(*one));
        let names: Vec<&str> = files.map(String::as_str).collect();
        let (count, names) = (self.devices.len(), names.join(" "));
        self.tell(&format!("load {}", self.subject.plugin.display()))?;
        self.tell(&format!("open {count} {names}"))?;
        self.tell("paths")
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the plugin is ours.
    pub(crate) fn ours(&self) -> bool {
        self.subject.c.is_none()
    }

    /// What the checker says.
    pub(crate) fn dialect(&self) -> Dialect {
        Dialect {
            healthy: match self.subject.checker.as_str() {
                "rdac" => State::Ghost,
                "emc_clariion" => State::Down,
                _ => State::Up,
            },
            late: match self.kind {
                Kind::Aio => State::Down,
                Kind::Scsi => State::Timeout,
            },
        }
    }

    /// Whether verdicts are collected apart from checks.
    pub(crate) fn collects(&self) -> bool {
        self.subject.abi != Abi::V0_7_9
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

    /// Every device hangs.
    pub(crate) fn hang_all(&mut self) -> Result<()> {
        self.set_all(Behaviour::Hangs)
    }

    /// Every device answers.
    pub(crate) fn heal_all(&mut self) -> Result<()> {
        self.set_all(Behaviour::Answers)
    }

    fn set_all(&mut self, behaviour: Behaviour) -> Result<()> {
        (0..self.files.len()).try_for_each(|device| self.set(device, behaviour))
    }

    /// Calls a function of the plugin for one path.
    pub(crate) fn call(&mut self, function: &'static str, path: usize) -> Result<Called> {
        self.timed(function, &format!("call {function} {path}"))
    }

    /// `libcheck_init` with a time limit in seconds.
    pub(crate) fn init(&mut self, path: usize, seconds: u32) -> Result<()> {
        let start = Instant::now();
        while self
            .timed("init", &format!("call init {path} {seconds}"))?
            .answer
            != 0
        {
            // Others may have used up the AIO events of the system, for a moment.
            if self.kind == Kind::Scsi || start.elapsed() > SHORTAGE {
                return Err(Trouble::Broken(format!("init refused path {path}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// `libcheck_reset`.
    pub(crate) fn reset(&mut self) -> Result<Called> {
        self.timed("reset", "call reset")
    }

    /// `libcheck_reset` and `dlclose`. All paths must have been freed.
    pub(crate) fn unload(&mut self) -> Result<Called> {
        self.timed("unload", "unload")
    }

    fn timed(&mut self, function: &'static str, line: &str) -> Result<Called> {
        let patience = match self.ours() {
            true => PATIENCE,
            false => PATIENCE_WITH_C,
        };
        let (mut place, mut endless) = (String::new(), false);
        self.host.begin(line)?;
        if !self.host.wait(LIMIT)? {
            place = self.host.kernel_stack();
            if !self.host.wait(patience)? {
                endless = true;
                self.lab.let_all_go();
            }
        }
        let answer = self.host.end(line)?;
        let span = |name| Duration::from_nanos(answer.get(name));
        let (wall, held) = (span("wall"), span("held"));
        let name = self.subject.name();
        let place = match (held > LIMIT, endless) {
            (true, true) => format!("{name}, until its device was let go: {place}"),
            (true, false) => format!("{name}: {place}"),
            _ => name,
        };
        self.laps.note(function, wall, held, &place);
        let answer = answer.get("answer") as i64;
        Ok(Called { answer, endless })
    }

    /// The calls since the last time.
    pub(crate) fn take_laps(&mut self) -> Laps {
        std::mem::take(&mut self.laps)
    }

    /// Ends the host as it is. How long that took it, without what the kernel does with it then.
    pub(crate) fn exit(&mut self) -> Result<Duration> {
        let start = Instant::now();
        self.host.send_home();
        while !self.host.has_left_user_space() {
            if start.elapsed() > PATIENCE {
                return Err(Trouble::Broken(format!(
                    "after {PATIENCE:?} the process is still {}",
                    self.host.kernel_stack()
                )));
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        Ok(start.elapsed())
    }

    /// Whether the process is gone, `exit` having ended it; at most so long is waited for it.
    pub(crate) fn is_gone(&mut self, limit: Duration) -> Result<bool> {
        let start = Instant::now();
        loop {
            if self.host.has_ended()? {
                return Ok(true);
            }
            if start.elapsed() > limit {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
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

    /// Waits until the process uses no more threads, descriptors and AIO contexts than `base`;
    /// `libcheck_reset` sends idle threads home.
    pub(crate) fn rest(&mut self, base: Usage) -> Result<()> {
        let start = Instant::now();
        loop {
            self.reset()?;
            let now = self.usage()?;
            let like_base = Usage {
                resident: base.resident,
                ..now
            };
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

    /// Starts a check of every path.
    pub(crate) fn start_all(&mut self) -> Result<()> {
        self.tell("start")
    }

    fn tell(&mut self, line: &str) -> Result<()> {
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
