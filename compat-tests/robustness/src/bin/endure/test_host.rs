// SPDX-License-Identifier: LGPL-2.0-or-later

//! One host with its devices.

#![forbid(unsafe_code)]

use crate::call_times::{CallTimes, LIMIT};
use crate::model::{Behaviour, Expected};
use crate::options::Subject;
use bench::devices::{Devices, Release};
use bench::driver::{self, Host};
use bench::protocol::{Called, FAKE_SCSI, Function, Request, Usage};
use harness::abi::Abi;
use harness::scsi;
use harness::state::State;
use harness::{Result, Trouble};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// How long things may take to come to rest.
const REST: Duration = Duration::from_secs(20);

/// How long a path may be refused because other processes have used up the AIO events of the system.
const SHORTAGE: Duration = Duration::from_secs(10);

/// How long calls may last.
#[derive(Clone, Copy)]
struct Limits {
    /// After this time the devices are released. A call that returns only then has waited for a device,
    /// however busy the machine is.
    call: Duration,
    /// A fake SCSI device answers after this time, for a call on the thread that would release it.
    scsi: Duration,
}

const OURS: Limits = Limits {
    call: Duration::from_secs(2),
    scsi: Duration::from_secs(20),
};

/// Upstream's plugins are known to wait: long enough to show it.
const UPSTREAM: Limits = Limits {
    call: Duration::from_millis(30),
    scsi: Duration::from_millis(50),
};

/// What paths are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Files of a file system that can hang, and loop devices over such files.
    Aio,
    /// Fake SCSI devices of the host.
    Scsi,
}

/// Which paths a host has: the device of each, and the first device that is a loop device where
/// devices are files.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) device_of: Vec<usize>,
    pub(crate) loops_from: usize,
}

/// A host, its devices, and the longest calls it made.
pub(crate) struct TestHost {
    subject: Subject,
    kind: Kind,
    host: Host,
    devices: Devices,
    device_of: Vec<usize>,
    /// By device.
    files: Vec<PathBuf>,
    times: CallTimes,
}

/// What a call returned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) value: i32,
    /// The call returned only when its device had been released.
    pub(crate) waited: bool,
}

impl Outcome {
    /// Fails for a call that lasted as long as its device hung.
    pub(crate) fn not_waited(self, function: &str) -> Result<()> {
        match self.waited {
            true => Err(Trouble::Broken(format!("{function} waited for a device"))),
            false => Ok(()),
        }
    }
}

impl TestHost {
    /// A host that has loaded the plugin and opened the paths; none has a checker.
    pub(crate) fn new(subject: &Subject, layout: &Layout) -> Result<TestHost> {
        let kind = match subject.checker.as_str() {
            "directio" => Kind::Aio,
            _ => Kind::Scsi,
        };
        let upstream = (!subject.is_ours()).then_some(subject.plugin.as_path());
        let mut command = driver::command(subject.abi, upstream, &[])?;
        if subject.checker == "cciss_tur" {
            // cciss_tur, upstream's and ours, writes a line there for each failed command.
            command.stderr(Stdio::null());
        }
        let mut host = TestHost {
            subject: subject.clone(),
            kind,
            host: Host::start(command)?,
            devices: Devices::default(),
            device_of: layout.device_of.clone(),
            files: Vec::new(),
            times: CallTimes::default(),
        };
        let limit = host.limits().scsi;
        let () = host.host.ask(&Request::HangLimit(limit))?;
        let count = layout.device_of.iter().max().map_or(0, |last| last + 1);
        for device in 0..count {
            let file = match kind {
                Kind::Scsi => FAKE_SCSI.into(),
                Kind::Aio if device >= layout.loops_from => host.devices.stalling_loop(device)?,
                Kind::Aio => host.devices.stalling_file(device)?,
            };
            host.files.push(file);
        }
        host.load()?;
        Ok(host)
    }

    /// Gives the host real-time priority. Without the right to it, calls are delayed more easily by other
    /// processes.
    pub(crate) fn run_at_real_time(&mut self) {
        let _ = self.host.ask::<()>(&Request::RealTime);
    }

    /// Loads the plugin, again perhaps, and opens the paths.
    pub(crate) fn load(&mut self) -> Result<()> {
        let files = self.device_of.iter().filter_map(|one| self.files.get(*one));
        let files = files.cloned().collect();
        let paths = self.device_of.len();
        let () = self.host.ask(&Request::Load(self.subject.plugin.clone()))?;
        self.host.ask(&Request::Open { paths, files })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the plugin is ours.
    pub(crate) fn is_ours(&self) -> bool {
        self.subject.is_ours()
    }

    fn limits(&self) -> Limits {
        if self.is_ours() { OURS } else { UPSTREAM }
    }

    /// What the checker reports of a device that answers, and of one that is late.
    pub(crate) fn expected(&self) -> Expected {
        Expected {
            healthy: match self.subject.checker.as_str() {
                "rdac" => State::GHOST,
                "emc_clariion" => State::DOWN,
                _ => State::UP,
            },
            late: match self.kind {
                Kind::Aio => State::DOWN,
                Kind::Scsi => State::TIMEOUT,
            },
        }
    }

    /// Whether verdicts are collected apart from checks.
    pub(crate) fn collects(&self) -> bool {
        self.subject.abi != Abi::V0_7_9
    }

    /// How many paths there are.
    pub(crate) fn paths(&self) -> usize {
        self.device_of.len()
    }

    /// The device of a path.
    pub(crate) fn device_of(&self, path: usize) -> usize {
        self.device_of.get(path).copied().unwrap_or(0)
    }

    /// Changes a device.
    pub(crate) fn set(&mut self, device: usize, behaviour: Behaviour) -> Result<()> {
        if self.kind == Kind::Aio {
            self.devices.fail(device, behaviour == Behaviour::Fails)?;
            return match behaviour {
                Behaviour::Hangs => self.devices.hold(device),
                Behaviour::Answers => self.devices.release(device, Release::Data),
                Behaviour::Fails => self.devices.release(device, Release::Error),
            };
        }
        let behaviour = match behaviour {
            Behaviour::Answers => scsi::Behaviour::Succeeds,
            Behaviour::Hangs => scsi::Behaviour::Hangs,
            Behaviour::Fails => scsi::Behaviour::Gone,
        };
        for path in 0..self.paths() {
            if self.device_of(path) == device {
                let () = self.host.ask(&Request::Device { path, behaviour })?;
            }
        }
        Ok(())
    }

    /// Changes every device.
    pub(crate) fn set_all(&mut self, behaviour: Behaviour) -> Result<()> {
        (0..self.files.len()).try_for_each(|device| self.set(device, behaviour))
    }

    /// `libcheck_init` with a time limit in seconds.
    pub(crate) fn init(&mut self, path: usize, seconds: u32) -> Result<()> {
        let start = Instant::now();
        while self.call(Function::Init { path, seconds })?.value != 0 {
            // Other processes may have used up the AIO events of the system for a moment.
            if self.kind == Kind::Scsi || start.elapsed() > SHORTAGE {
                return Err(Trouble::Broken(format!("init refused path {path}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Calls a function of the plugin, and releases the devices if it waits for one.
    pub(crate) fn call(&mut self, function: Function) -> Result<Outcome> {
        let request = Request::Call(function);
        let limit = self.limits().call;
        let (mut place, mut waited) = (String::new(), false);
        self.host.begin(&request)?;
        if !self.host.wait(LIMIT)? {
            place = self.host.kernel_stack();
            if !self.host.wait(limit)? {
                waited = true;
                self.devices.release_all();
            }
        }
        let Called { value, lap } = self.host.finish(&request)?;
        let name = self.subject.name();
        let place = match (lap.held > LIMIT, waited) {
            (true, true) => format!("{name}, until its device was released: {place}"),
            (true, false) => format!("{name}: {place}"),
            _ => name,
        };
        self.times.add_call(function.name(), lap, &place);
        Ok(Outcome { value, waited })
    }

    /// As [`TestHost::call`], for a function that returns a path state.
    pub(crate) fn state(&mut self, function: Function) -> Result<State> {
        self.call(function).map(|outcome| State(outcome.value))
    }

    /// The calls since the last time.
    pub(crate) fn take_times(&mut self) -> CallTimes {
        std::mem::take(&mut self.times)
    }

    /// Ends the host as it is; how long that took it, without what the kernel does with it then.
    pub(crate) fn exit(&mut self) -> Result<Duration> {
        let start = Instant::now();
        self.host.close();
        while !self.host.has_left_user_space() {
            if start.elapsed() > OURS.call {
                return Err(Trouble::Broken(format!(
                    "after {:?} the process is still in {}",
                    OURS.call,
                    self.host.kernel_stack()
                )));
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        Ok(start.elapsed())
    }

    /// Whether the process, after [`TestHost::exit`], ends within this time.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> Result<bool> {
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

    /// What the process uses now.
    pub(crate) fn usage(&mut self) -> Result<Usage> {
        self.host.ask(&Request::Usage)
    }

    /// Waits until the process uses no more threads, descriptors and AIO contexts than `base`.
    /// `libcheck_reset` ends idle threads.
    pub(crate) fn rest(&mut self, base: Usage) -> Result<()> {
        let start = Instant::now();
        let lasting = |usage: &Usage| (usage.threads, usage.descriptors, usage.contexts);
        loop {
            self.call(Function::Reset)?;
            let now = self.usage()?;
            if lasting(&now) == lasting(&base) {
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

    /// Collects from every path; how many verdicts are missing.
    pub(crate) fn collect_all(&mut self) -> Result<u64> {
        self.host.ask(&Request::Collect)
    }

    /// Starts a check of every path.
    pub(crate) fn start_all(&mut self) -> Result<()> {
        self.host.ask::<u64>(&Request::Start).map(drop)
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        // A process with requests in flight cannot end.
        self.devices.release_all();
    }
}
