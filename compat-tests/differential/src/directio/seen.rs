// SPDX-License-Identifier: LGPL-2.0-or-later

//! What a scenario says of the step that it has just taken.
#![forbid(unsafe_code)]

use super::observation::{Difference, Flags, Log, Observation, Returned, Step, Took};
use harness::host;
use harness::state::State;
use std::ffi::{c_int, c_short};

/// The last step. Its methods say what must hold on either side, or how the sides differ; what does
/// not hold is recorded in the step.
pub(crate) struct Seen<'a> {
    /// `None` while calls are only counted.
    step: Option<&'a mut Step>,
    returned: Returned,
}

/// The message id that goes with a state, where only one does, and its text.
fn message_of(state: State) -> Option<(c_short, &'static str)> {
    match state {
        State::DOWN => Some((5, " reports path is down")),
        State::UP => Some((4, " reports path is up")),
        State::PENDING => Some((101, " is waiting on aio")),
        _ => None,
    }
}

/// Whether log records reach the host.
fn has_log() -> bool {
    host::visible().contains(&"dlog")
}

impl<'a> Seen<'a> {
    pub(super) fn new(step: Option<&'a mut Step>, returned: Returned) -> Seen<'a> {
        Seen { step, returned }
    }

    /// What the call returned.
    pub(crate) fn value(&self) -> Returned {
        self.returned
    }

    /// The path state that the call returned.
    pub(crate) fn state(&self) -> State {
        match self.returned {
            Returned::State(state) => state,
            _ => State::WILD,
        }
    }

    /// The observation holds.
    pub(crate) fn has(mut self, observation: Observation) -> Seen<'a> {
        if let Some(step) = &mut self.step {
            if step.like(&observation) != Some(&observation) {
                let seen = step
                    .like(&observation)
                    .map_or("nothing".to_owned(), Observation::to_string);
                step.wrong.push(format!(
                    "{}: {observation} expected, {seen} seen",
                    observation.name()
                ));
            }
        }
        self
    }

    /// The call returned this.
    pub(crate) fn returned(self, value: impl Into<Returned>) -> Seen<'a> {
        self.has(Observation::Returned(value.into()))
    }

    /// The call returned this state, with the message that belongs to it.
    pub(crate) fn is(self, state: State) -> Seen<'a> {
        let seen = self.returned(state);
        match message_of(state) {
            Some((id, _)) => seen.msgid(id),
            None => seen,
        }
    }

    /// The call returned UNCHECKED: no request could be submitted.
    pub(crate) fn not_available(self) -> Seen<'a> {
        self.is(State::UNCHECKED).msgid(100)
    }

    /// The call returned UNCHECKED without a message.
    pub(crate) fn refused(self) -> Seen<'a> {
        self.is(State::UNCHECKED).msgid(0)
    }

    /// The struct has this message id.
    pub(crate) fn msgid(self, id: c_short) -> Seen<'a> {
        self.has(Observation::Msgid(id))
    }

    /// So many reads are in flight.
    pub(crate) fn in_flight(self, count: u64) -> Seen<'a> {
        self.has(Observation::InFlight(count))
    }

    /// The process has so many AIO contexts.
    pub(crate) fn contexts(self, count: usize) -> Seen<'a> {
        self.has(Observation::Contexts(count))
    }

    /// The struct's context is not NULL, or is.
    pub(crate) fn context(self, set: bool) -> Seen<'a> {
        self.has(Observation::Context(set))
    }

    /// The descriptor has these status flags.
    pub(crate) fn flags(self, flags: c_int) -> Seen<'a> {
        self.has(Observation::Flags(Flags(Some(flags))))
    }

    /// The call took about so many seconds; 0 for less than one.
    pub(crate) fn took(self, seconds: u64) -> Seen<'a> {
        self.has(Observation::Took(Took(seconds)))
    }

    /// `libcheck_free` has left nothing: NULL, and no flags that init has set.
    pub(crate) fn freed(self) -> Seen<'a> {
        self.context(false).flags(0)
    }

    /// `io_submit` has been called so often.
    pub(crate) fn submits(self, count: u64) -> Seen<'a> {
        self.has(Observation::Submits(count))
    }

    /// These records were logged, and no others.
    pub(crate) fn logged(self, log: Log) -> Seen<'a> {
        self.has(Observation::Log(log))
    }

    /// All counted calls had one result.
    pub(crate) fn all(self, count: u64, call: &str, returned: impl Into<Returned>) -> Seen<'a> {
        let key = format!("{call} → {}", returned.into());
        self.has(Observation::Results([(key, count)].into()))
    }

    /// A record with this text was logged, at any level; where there is a log.
    pub(crate) fn line(mut self, text: &str) -> Seen<'a> {
        if let Some(step) = self.step.as_mut().filter(|_| has_log()) {
            let found = step
                .log()
                .is_some_and(|log| log.0.iter().any(|(_, one)| one == text));
            if !found {
                step.wrong.push(format!("the line {text:?} is missing"));
            }
        }
        self
    }

    /// The ledger says under `id` that the sides differ in an observation, and how.
    pub(crate) fn differs(
        mut self,
        id: &str,
        upstream: Observation,
        ours: Observation,
    ) -> Seen<'a> {
        if let Some(step) = &mut self.step {
            step.differences.push(Difference {
                id: id.to_owned(),
                upstream,
                ours,
            });
        }
        self
    }

    /// The sides return different states, with the messages that belong to them.
    pub(crate) fn differs_in_state(self, id: &str, upstream: State, ours: State) -> Seen<'a> {
        let seen = self.differs(
            id,
            Observation::Returned(upstream.into()),
            Observation::Returned(ours.into()),
        );
        seen.differs_in_message(id, upstream, ours)
    }

    /// The sides leave different messages: those that belong to these states.
    pub(crate) fn differs_in_message(self, id: &str, upstream: State, ours: State) -> Seen<'a> {
        let (Some(one), Some(other)) = (message_of(upstream), message_of(ours)) else {
            return self;
        };
        self.differs(id, Observation::Msgid(one.0), Observation::Msgid(other.0))
            .differs(
                id,
                Observation::Text(one.1.to_owned()),
                Observation::Text(other.1.to_owned()),
            )
    }

    /// The calls take different times, in seconds.
    pub(crate) fn differs_in_time(self, id: &str, upstream: u64, ours: u64) -> Seen<'a> {
        self.differs(
            id,
            Observation::Took(Took(upstream)),
            Observation::Took(Took(ours)),
        )
    }

    /// Different numbers of reads are in flight.
    pub(crate) fn differs_in_flight(self, id: &str, upstream: u64, ours: u64) -> Seen<'a> {
        self.differs(
            id,
            Observation::InFlight(upstream),
            Observation::InFlight(ours),
        )
    }

    /// Different records are logged, where there is a log.
    pub(crate) fn differs_in_log(self, id: &str, upstream: Log, ours: Log) -> Seen<'a> {
        if has_log() {
            self.differs(id, Observation::Log(upstream), Observation::Log(ours))
        } else {
            self
        }
    }
}
