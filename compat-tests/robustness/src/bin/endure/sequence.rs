//! Calls and events in random order.

use crate::model::{Behaviour, Call, Life, State};
use crate::rig::Rig;
use harness::{Result, Trouble};
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// How long a healthy path may take to say so.
const SOON: Duration = Duration::from_secs(10);

/// The time limits that paths get, in seconds. The first two may pass within a sequence.
const TIMEOUTS: [u32; 3] = [0, 1, 1000];

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// `libcheck_init` with one of [`TIMEOUTS`]; nothing where the path has a checker.
    Init(usize, usize),
    Check(usize),
    Pending(usize),
    NeedWait(usize),
    /// A look into `libcheck_msgtable`.
    Message(usize),
    Free(usize),
    Reset,
    Device(usize, Behaviour),
    /// In microseconds.
    Pause(u64),
}

/// Sequences for so many paths and devices. Few of them hold a pause of more than a second, with
/// which time limits pass.
pub(crate) fn sequences(paths: usize, devices: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..paths, 0..TIMEOUTS.len()).prop_map(|(path, timeout)| Step::Init(path, timeout)),
        9 => (0..paths).prop_map(Step::Check),
        7 => (0..paths).prop_map(Step::Pending),
        2 => (0..paths).prop_map(Step::NeedWait),
        1 => (0..paths).prop_map(Step::Message),
        3 => (0..paths).prop_map(Step::Free),
        1 => Just(Step::Reset),
        3 => (0..devices).prop_map(|device| Step::Device(device, Behaviour::Hangs)),
        2 => (0..devices).prop_map(|device| Step::Device(device, Behaviour::Answers)),
        1 => (0..devices).prop_map(|device| Step::Device(device, Behaviour::Fails)),
        1 => (0..3000_u64).prop_map(Step::Pause),
    ];
    let pause = prop_oneof![
        60 => Just(None),
        1 => Just(Some(1_100_000)),
    ];
    let steps = prop::collection::vec(step, 5..80);
    (steps, pause, any::<prop::sample::Index>()).prop_map(|(mut steps, pause, at)| {
        if let Some(micros) = pause {
            steps.insert(at.index(steps.len()), Step::Pause(micros));
        }
        steps
    })
}

/// Plays a sequence; afterwards nothing is left of it.
///
/// To C's plugins it is played as far as they stand it, and what they answer is not looked at: that
/// is the differential tests' subject.
pub(crate) fn play(rig: &mut Rig, devices: usize, steps: &[Step]) -> Result<()> {
    let mut play = Play {
        lives: vec![None; rig.paths()],
        devices: vec![Behaviour::Answers; devices],
        rig,
    };
    for step in steps {
        play.step(*step)
            .map_err(|trouble| Trouble::Broken(format!("{step:?}: {trouble}")))?;
    }
    play.end()
}

struct Play<'a> {
    rig: &'a mut Rig,
    lives: Vec<Option<Life>>,
    devices: Vec<Behaviour>,
}

impl Play<'_> {
    fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Init(path, timeout) => {
                if self.life(path).is_none() {
                    let seconds = TIMEOUTS.get(timeout).copied().unwrap_or_default();
                    self.rig.init(path, seconds)?;
                    let life = Life::new(self.device(path), self.rig.dialect(), seconds <= 1);
                    self.set_life(path, Some(life));
                }
            }
            Step::Check(path) => self.look("check", path, Call::Check)?,
            Step::Pending(path) => {
                // Where there is nothing to collect with, the host checks again.
                let call = match self.rig.collects() {
                    true => Call::Pending,
                    false => Call::Check,
                };
                self.look("pending", path, call)?;
            }
            Step::NeedWait(path) => {
                let wants = self.call("need-wait", path)? != 0;
                let may = self.life(path).is_some_and(Life::may_want_a_wait);
                if wants && !may && self.rig.ours() {
                    return Err(Trouble::Broken(format!("of {:?}", self.life(path))));
                }
            }
            Step::Message(path) => {
                if self.call("message", path)? == 0 && self.rig.ours() {
                    return Err(Trouble::Broken("an id without a text".to_owned()));
                }
            }
            Step::Free(path) => {
                // One of C's frees its memory twice, if it is told to.
                if self.rig.ours() || self.life(path).is_some() {
                    self.call("free", path)?;
                    self.set_life(path, None);
                }
            }
            Step::Reset => {
                // C's contexts are gone then, and who still uses one is lost.
                if self.rig.ours() || self.lives.iter().all(Option::is_none) {
                    let endless = self.rig.reset()?.endless;
                    self.judge("reset", endless)?;
                }
            }
            Step::Device(device, behaviour) => self.set_device(device, behaviour)?,
            Step::Pause(micros) => std::thread::sleep(Duration::from_micros(micros)),
        }
        Ok(())
    }

    fn look(&mut self, function: &'static str, path: usize, call: Call) -> Result<()> {
        let state = State::from_raw(self.call(function, path)?);
        let device = self.device(path);
        match self.lives.get_mut(path) {
            Some(Some(life)) if self.rig.ours() => {
                life.says(state, device, call).map_err(Trouble::Broken)
            }
            // What a host without a checker asks about is not the checker's.
            _ => Ok(()),
        }
    }

    /// Lets everything come to rest, and makes sure that no path has been lost.
    fn end(&mut self) -> Result<()> {
        for device in 0..self.devices.len() {
            self.set_device(device, Behaviour::Answers)?;
        }
        for path in 0..self.lives.len() {
            if self.life(path).is_some() {
                if self.rig.ours() {
                    self.recovers(path)?;
                }
                self.step(Step::Free(path))?;
            }
        }
        self.step(Step::Reset)
    }

    /// The path's device answers now, so the path has to recover.
    fn recovers(&mut self, path: usize) -> Result<()> {
        let start = Instant::now();
        let healthy = self.rig.dialect().healthy;
        let mut state = State::Unchecked;
        while state != healthy {
            if start.elapsed() > SOON {
                return Err(Trouble::Broken(format!("path {path} stays {state:?}")));
            }
            // Not collected yet by the first of them, a verdict is by the second.
            for function in ["check", "pending"] {
                state = State::from_raw(self.call(function, path)?);
                if state == healthy {
                    break;
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, function: &'static str, path: usize) -> Result<i64> {
        let called = self.rig.call(function, path)?;
        self.judge(function, called.endless)?;
        Ok(called.answer)
    }

    /// A call that lasts as long as a device hangs is beyond any doubt.
    fn judge(&self, function: &str, endless: bool) -> Result<()> {
        match endless && self.rig.ours() {
            true => Err(Trouble::Broken(format!("{function} waited for a device"))),
            false => Ok(()),
        }
    }

    fn set_device(&mut self, device: usize, behaviour: Behaviour) -> Result<()> {
        self.rig.set(device, behaviour)?;
        if let Some(place) = self.devices.get_mut(device) {
            *place = behaviour;
        }
        for path in 0..self.lives.len() {
            if self.rig.device_of(path) != device {
                continue;
            }
            if let Some(Some(life)) = self.lives.get_mut(path) {
                life.device_is(behaviour);
            }
        }
        Ok(())
    }

    fn device(&self, path: usize) -> Behaviour {
        let device = self.rig.device_of(path);
        self.devices
            .get(device)
            .copied()
            .unwrap_or(Behaviour::Answers)
    }

    fn life(&self, path: usize) -> Option<&Life> {
        self.lives.get(path)?.as_ref()
    }

    fn set_life(&mut self, path: usize, life: Option<Life>) {
        if let Some(place) = self.lives.get_mut(path) {
            *place = life;
        }
    }
}
