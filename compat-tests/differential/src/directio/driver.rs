// SPDX-License-Identifier: LGPL-2.0-or-later

//! The scenario driver: the host, the plugin and the devices of one scenario on one side.
//!
//! Every call into the plugin becomes a step with the observations that hold afterwards; the runner
//! compares the steps of both sides. The driver's methods are in several files:
//!
//! | module | subject |
//! |---|---|
//! | here | steps, and the conversation with the runner |
//! | [`super::calls`] | calls into the plugin |
//! | [`super::devices`] | devices and files, which the runner makes |
//! | [`super::during`] | what happens during a call, and calls from other threads and processes |
#![forbid(unsafe_code)]

use super::handles::{Event, Gate, Id};
use super::message::{DeviceReply, Message, Start};
use super::observation::{Observation, Returned, Step};
use super::seen::Seen;
use harness::aio_faults::Faults;
use harness::checker_struct::Checker;
use harness::devices::request::{Reply, Request};
use harness::ipc::Channel;
use harness::plugin::Plugin;
use harness::side::Side;
use harness::{Doing, Result, Trouble, aio_rings, host};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Counts of calls that are not steps of their own.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) results: BTreeMap<String, u64>,
    pub(super) wrong: BTreeSet<String>,
}

/// A scenario's view of its host, its plugin and its devices.
pub(crate) struct Driver {
    pub(super) start: Start,
    pub(super) plugin: Option<Plugin>,
    channel: Channel,
    pub(super) checkers: Vec<Checker>,
    /// What is to happen during the next call.
    pub(super) armed: Vec<Event>,
    /// The step that is not sent yet, so that a scenario can say more about it.
    step: Option<Step>,
    pub(super) faults: Option<Faults>,
    /// Whether the numbers of system calls are among the observations.
    pub(super) counts_calls: bool,
    /// The gates behind block devices, with the number of reads before the scenario's first.
    pub(super) gate_devices: Vec<(Gate, u64)>,
    /// Whether the scenario has files that hang.
    pub(super) has_gates: bool,
    pub(super) is_sync: bool,
    is_alone: bool,
    /// Set while calls are only counted.
    pub(super) counts: Option<Counts>,
    /// What the host of 0.15.0 passes as the second argument of `libcheck_check`.
    pub(super) map_word: Box<u64>,
    random: u64,
}

/// The label of the step after which upstream's plugin is not followed: what it does is undefined,
/// the end of its process included.
pub(super) const NO_FURTHER: &str = "upstream's plugin is followed no further";

/// How many files are open, not counting duplicates of a descriptor: ours has one for each read that
/// a worker submits.
pub(super) fn count_files() -> i64 {
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else {
        return 0;
    };
    let names = descriptors.flatten().map(|entry| entry.path().read_link());
    names.flatten().collect::<BTreeSet<_>>().len() as i64
}

pub(super) fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

impl Driver {
    /// Loads the plugin.
    pub(crate) fn new(start: Start, channel: Channel) -> Result<Driver> {
        let mut driver = Driver {
            plugin: None,
            channel,
            checkers: Vec::new(),
            armed: Vec::new(),
            step: None,
            faults: None,
            counts_calls: false,
            gate_devices: Vec::new(),
            has_gates: false,
            is_sync: false,
            is_alone: false,
            counts: None,
            map_word: Box::new(u64::MAX),
            random: start.seed.wrapping_mul(2).wrapping_add(1),
            start,
        };
        host::set_sync(false);
        driver.load()?;
        Ok(driver)
    }

    pub(super) fn load(&mut self) -> Result<()> {
        self.plugin = Some(Plugin::load(&self.start.plugin, self.start.abi)?);
        Ok(())
    }

    /// The plugin.
    pub(crate) fn plugin(&self) -> Result<&Plugin> {
        let unloaded = || Trouble::Broken("the plugin is not loaded".to_owned());
        self.plugin.as_ref().ok_or_else(unloaded)
    }

    /// The struct of an instance.
    pub(crate) fn checker(&mut self, id: Id) -> Result<&mut Checker> {
        let missing = || Trouble::Broken(format!("no instance #{}", id.0));
        self.checkers.get_mut(id.0).ok_or_else(missing)
    }

    /// Sends a request for devices to the runner.
    pub(super) fn ask(&mut self, request: Request) -> Result<Reply> {
        let reply: DeviceReply = self.channel.request(&Message::Devices(request))?;
        reply
    }

    pub(super) fn say(&mut self, message: &Message) -> Result<()> {
        self.channel.send(message).doing("sending to the runner")
    }

    /// Makes a step the last one.
    pub(super) fn put(&mut self, mut step: Step, returned: Returned) -> Result<Seen<'_>> {
        self.flush()?;
        step.alone = self.is_alone;
        Ok(Seen::new(Some(self.step.insert(step)), returned))
    }

    /// The last step, again.
    pub(crate) fn seen(&mut self) -> Seen<'_> {
        self.last(Returned::Nothing)
    }

    /// The last step, and what it returned.
    pub(super) fn last(&mut self, returned: Returned) -> Seen<'_> {
        Seen::new(self.step.as_mut(), returned)
    }

    /// Sends the last step.
    pub(super) fn flush(&mut self) -> Result<()> {
        match self.step.take() {
            Some(step) => self.say(&Message::Step(Box::new(step))),
            None => Ok(()),
        }
    }

    /// Tells the runner that a call begins. Returns whether reads are held.
    pub(super) fn announce(&mut self, label: &str) -> Result<bool> {
        self.flush()?;
        let hung = self.in_flight()? > 0;
        self.say(&Message::Calling(label.to_owned()))?;
        Ok(hung)
    }

    /// A step that only records an observation.
    pub(crate) fn note(&mut self, label: &str, observation: Observation) -> Result<Seen<'_>> {
        let step = Step {
            label: label.to_owned(),
            observed: vec![observation],
            ..Step::default()
        };
        self.put(step, Returned::Nothing)
    }

    /// Counts the results of the calls made by `work` in one step.
    pub(crate) fn count(
        &mut self,
        label: &str,
        work: impl FnOnce(&mut Driver) -> Result<()>,
    ) -> Result<Seen<'_>> {
        let hung = self.announce(label)?;
        let files = count_files();
        self.counts = Some(Counts::default());
        let begin = Instant::now();
        let done = work(self);
        let took = begin.elapsed();
        let counts = self.counts.take().unwrap_or_default();
        done?;
        host::take_lines();
        let mut observed = vec![
            Observation::Results(counts.results),
            Observation::Contexts(aio_rings::inspect()?.contexts),
            Observation::Files(count_files() - files),
        ];
        if self.has_gates {
            observed.push(Observation::InFlight(self.in_flight()?));
        }
        let step = Step {
            label: label.to_owned(),
            millis: millis(took),
            hung,
            observed,
            wrong: counts.wrong.into_iter().collect(),
            ..Step::default()
        };
        self.put(step, Returned::Nothing)
    }

    /// Calls `work` for each instance and counts the results in one step.
    pub(crate) fn count_each(
        &mut self,
        label: &str,
        ids: &[Id],
        mut work: impl FnMut(&mut Driver, Id) -> Result<()>,
    ) -> Result<Seen<'_>> {
        self.count(label, |d| ids.iter().try_for_each(|id| work(d, *id)))
    }

    /// From here on the behaviour of upstream's plugin is undefined. Returns whether the scenario has
    /// to end, as it does on that side.
    pub(crate) fn upstream_ends(&mut self, why: &str) -> Result<bool> {
        self.note(NO_FURTHER, Observation::Note(why.to_owned()))?;
        self.flush()?;
        self.is_alone = true;
        Ok(self.start.side == Side::Upstream)
    }

    /// A number below `bound` that depends on the seed alone.
    pub(crate) fn random(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    /// Ends the scenario: sends the last step and how the scenario ended.
    pub(crate) fn end(mut self, outcome: Result<()>) -> Result<()> {
        self.flush()?;
        let outcome = match self.is_disturbed()? {
            true => Err(Trouble::Disturbed),
            false => outcome,
        };
        self.say(&Message::Ended(outcome))
    }
}
