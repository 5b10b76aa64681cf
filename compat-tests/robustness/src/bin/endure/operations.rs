// SPDX-License-Identifier: LGPL-2.0-or-later

//! Random sequences of calls and events.

#![forbid(unsafe_code)]

use crate::model::{Behaviour, Call, PathModel};
use crate::test_host::TestHost;
use bench::protocol::Function;
use harness::state::State;
use harness::{Result, Trouble};
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// How long a path may take until it reports its healthy device.
const SOON: Duration = Duration::from_secs(10);

/// The time limits of checks, in seconds. The first two may pass within a sequence.
const TIMEOUTS: [u32; 3] = [0, 1, 1000];

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// `libcheck_init` with one of [`TIMEOUTS`]; nothing for a path with a checker.
    Init(usize, usize),
    Check(usize),
    Pending(usize),
    NeedWait(usize),
    /// Looks the message of the last call up.
    Message(usize),
    Free(usize),
    Reset,
    Device(usize, Behaviour),
    /// In microseconds.
    Pause(u64),
}

/// Sequences for this many paths and devices. A few contain a pause of more than a second, in which
/// time limits pass.
pub(crate) fn sequences(paths: usize, devices: usize) -> impl Strategy<Value = Vec<Operation>> {
    use Operation::{Check, Device, Free, Init, Message, NeedWait, Pause, Pending, Reset};
    let operation = prop_oneof![
        5 => (0..paths, 0..TIMEOUTS.len()).prop_map(|(path, timeout)| Init(path, timeout)),
        9 => (0..paths).prop_map(Check),
        7 => (0..paths).prop_map(Pending),
        2 => (0..paths).prop_map(NeedWait),
        1 => (0..paths).prop_map(Message),
        3 => (0..paths).prop_map(Free),
        1 => Just(Reset),
        3 => (0..devices).prop_map(|device| Device(device, Behaviour::Hangs)),
        2 => (0..devices).prop_map(|device| Device(device, Behaviour::Answers)),
        1 => (0..devices).prop_map(|device| Device(device, Behaviour::Fails)),
        1 => (0..3000_u64).prop_map(Pause),
    ];
    let pause = prop_oneof![
        60 => Just(None),
        1 => Just(Some(1_100_000)),
    ];
    let operations = prop::collection::vec(operation, 5..80);
    (operations, pause, any::<prop::sample::Index>()).prop_map(|(mut operations, pause, at)| {
        if let Some(micros) = pause {
            operations.insert(at.index(operations.len()), Pause(micros));
        }
        operations
    })
}

/// Runs a sequence; afterwards nothing is left of it.
///
/// Upstream's plugins skip what they would not survive, and their results are not checked here: the
/// differential tests do that.
pub(crate) fn run(host: &mut TestHost, devices: usize, operations: &[Operation]) -> Result<()> {
    let mut run = Run {
        paths: vec![None; host.paths()],
        devices: vec![Behaviour::Answers; devices],
        host,
    };
    for operation in operations {
        run.operation(*operation)
            .map_err(|trouble| Trouble::Broken(format!("{operation:?}: {trouble}")))?;
    }
    run.end()
}

struct Run<'a> {
    host: &'a mut TestHost,
    /// By path; `None` without a checker.
    paths: Vec<Option<PathModel>>,
    devices: Vec<Behaviour>,
}

impl Run<'_> {
    fn operation(&mut self, operation: Operation) -> Result<()> {
        match operation {
            Operation::Init(path, timeout) => {
                if self.path(path).is_none() {
                    let seconds = TIMEOUTS.get(timeout).copied().unwrap_or_default();
                    self.host.init(path, seconds)?;
                    let model =
                        PathModel::new(self.device(path), self.host.expected(), seconds <= 1);
                    self.set_path(path, Some(model));
                }
            }
            Operation::Check(path) => self.state(path, Call::Check)?,
            Operation::Pending(path) => self.state(path, Call::Pending)?,
            Operation::NeedWait(path) => {
                let needs = self.call(Function::NeedWait(path))? != 0;
                let may = self.path(path).is_some_and(PathModel::may_need_wait);
                if needs && !may && self.host.is_ours() {
                    return Err(Trouble::Broken(format!("of {:?}", self.path(path))));
                }
            }
            Operation::Message(path) => {
                if self.call(Function::Message(path))? == 0 && self.host.is_ours() {
                    return Err(Trouble::Broken("an id without a text".to_owned()));
                }
            }
            Operation::Free(path) => {
                // Upstream's emc_clariion frees its memory again in a second `libcheck_free`.
                if self.host.is_ours() || self.path(path).is_some() {
                    self.call(Function::Free(path))?;
                    self.set_path(path, None);
                }
            }
            Operation::Reset => {
                // Upstream destroys contexts that paths still use.
                if self.host.is_ours() || self.paths.iter().all(Option::is_none) {
                    self.call(Function::Reset)?;
                }
            }
            Operation::Device(device, behaviour) => self.set_device(device, behaviour)?,
            Operation::Pause(micros) => std::thread::sleep(Duration::from_micros(micros)),
        }
        Ok(())
    }

    fn state(&mut self, path: usize, call: Call) -> Result<()> {
        let (function, call) = match call {
            Call::Check => (Function::Check(path), call),
            Call::Pending if self.host.collects() => (Function::Pending(path), call),
            // A host whose ABI has no `libcheck_pending` checks again.
            Call::Pending => (Function::Pending(path), Call::Check),
        };
        let state = State(self.call(function)?);
        let device = self.device(path);
        match self.paths.get_mut(path) {
            Some(Some(model)) if self.host.is_ours() => {
                model.returned(state, device, call).map_err(Trouble::Broken)
            }
            _ => Ok(()),
        }
    }

    /// Lets everything come to rest; no path may have been lost.
    fn end(&mut self) -> Result<()> {
        for device in 0..self.devices.len() {
            self.set_device(device, Behaviour::Answers)?;
        }
        for path in 0..self.paths.len() {
            if self.path(path).is_some() {
                if self.host.is_ours() {
                    self.recover(path)?;
                }
                self.operation(Operation::Free(path))?;
            }
        }
        self.operation(Operation::Reset)
    }

    /// The path's device answers, so the path has to report it.
    fn recover(&mut self, path: usize) -> Result<()> {
        let start = Instant::now();
        let healthy = self.host.expected().healthy;
        let mut state = State::UNCHECKED;
        while state != healthy {
            if start.elapsed() > SOON {
                return Err(Trouble::Broken(format!("path {path} stays {state}")));
            }
            state = State(self.call(Function::Check(path))?);
            if state != healthy {
                state = State(self.call(Function::Pending(path))?);
            }
        }
        Ok(())
    }

    fn call(&mut self, function: Function) -> Result<i32> {
        let outcome = self.host.call(function)?;
        if self.host.is_ours() {
            outcome.not_waited(function.name())?;
        }
        Ok(outcome.value)
    }

    fn set_device(&mut self, device: usize, behaviour: Behaviour) -> Result<()> {
        self.host.set(device, behaviour)?;
        if let Some(place) = self.devices.get_mut(device) {
            *place = behaviour;
        }
        for (path, model) in self.paths.iter_mut().enumerate() {
            if let (Some(model), true) = (model, self.host.device_of(path) == device) {
                model.device_changed(behaviour);
            }
        }
        Ok(())
    }

    fn device(&self, path: usize) -> Behaviour {
        let device = self.host.device_of(path);
        let behaviour = self.devices.get(device).copied();
        behaviour.unwrap_or(Behaviour::Answers)
    }

    fn path(&self, path: usize) -> Option<&PathModel> {
        self.paths.get(path)?.as_ref()
    }

    fn set_path(&mut self, path: usize, model: Option<PathModel>) {
        if let Some(place) = self.paths.get_mut(path) {
            *place = model;
        }
    }
}
