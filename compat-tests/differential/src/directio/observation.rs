// SPDX-License-Identifier: LGPL-2.0-or-later

//! What is observed after each step of a scenario, typed, and what the scenario states about it.
#![forbid(unsafe_code)]

use harness::side::Side;
use harness::state::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::{c_int, c_short};
use std::fmt;
use std::mem::discriminant;
use std::time::Duration;

/// What a call returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Returned {
    /// `libcheck_init`: 0.
    Ok,
    /// `libcheck_init`: any other number.
    Failed,
    /// A path state.
    State(State),
    /// `libcheck_need_wait`.
    Wait(bool),
    /// A number; `None` if the plugin has no such function.
    Number(Option<c_int>),
    /// Nothing.
    Nothing,
}

impl From<State> for Returned {
    fn from(state: State) -> Returned {
        Returned::State(state)
    }
}

impl fmt::Display for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Returned::Ok => f.write_str("ok"),
            Returned::Failed => f.write_str("failed"),
            Returned::State(state) => state.fmt(f),
            Returned::Wait(yes) => f.write_str(if *yes { "yes" } else { "no" }),
            Returned::Number(Some(number)) => number.fmt(f),
            Returned::Number(None) => f.write_str("no such function"),
            Returned::Nothing => f.write_str("nothing"),
        }
    }
}

/// The file status flags of a descriptor that can be changed; `None` when it is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flags(pub(crate) Option<c_int>);

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(flags) = self.0 else {
            return f.write_str("not open");
        };
        let names: Vec<&str> = [
            (libc::O_APPEND, "append"),
            (libc::O_NONBLOCK, "nonblock"),
            (libc::O_DIRECT, "direct"),
            (libc::O_NOATIME, "noatime"),
            (libc::O_ASYNC, "async"),
        ]
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, name)| *name)
        .collect();
        f.write_str(&if names.is_empty() {
            "none".to_owned()
        } else {
            names.join("+")
        })
    }
}

/// How long a call took, in whole seconds: so coarse that a busy machine does not change it. What
/// scenarios do during a call they do after whole seconds, and it can only be late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Took(pub(crate) u64);

impl From<Duration> for Took {
    fn from(took: Duration) -> Took {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX - 100);
        Took(if millis < 900 {
            0
        } else {
            (millis + 100) / 1000
        })
    }
}

/// Log records with their levels, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Log(pub(crate) Vec<(c_int, String)>);

impl Log {
    /// A check of the device has begun.
    pub(crate) fn called() -> Log {
        Log::default().line(4, "directio: called for <device>")
    }

    /// The same, and that it is synchronous.
    pub(crate) fn called_sync(sync: bool) -> Log {
        let log = Log::called();
        match sync {
            true => log.line(4, "directio: called in synchronous mode"),
            false => log,
        }
    }

    /// A request is submitted.
    #[must_use]
    pub(crate) fn starts(self, level: c_int) -> Log {
        self.line(level, "directio: starting new request")
    }

    /// The time limit has passed.
    #[must_use]
    pub(crate) fn aborts(self) -> Log {
        self.line(3, ABORTED)
    }

    /// A read has ended with this many bytes, or a negative errno.
    #[must_use]
    pub(crate) fn finishes(self, level: c_int, result: i64) -> Log {
        // Upstream prints an event's result as an unsigned number.
        self.line(level, &format!("directio: io finished {}/0", result as u64))
    }

    /// One more record.
    #[must_use]
    pub(crate) fn line(mut self, level: c_int, text: &str) -> Log {
        self.0.push((level, text.to_owned()));
        self
    }

    /// The records with the levels that they have since 0.9.7.
    pub(crate) fn with_newer_levels(&self) -> Log {
        const LOWERED: [&str; 4] = [
            "directio: starting new request",
            "directio: io finished ",
            "directio: async io pending",
            "directio: async io getevents returned ",
        ];
        let records = self.0.iter().map(|(level, text)| {
            let lowered = *level == 3 && LOWERED.iter().any(|start| text.starts_with(start));
            (if lowered { 4 } else { *level }, text.clone())
        });
        Log(records.collect())
    }
}

/// The record of a check whose time limit has passed.
pub(crate) const ABORTED: &str = "directio: abort check on timeout";

/// One observation, which holds after a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Observation {
    /// What the call returned.
    Returned(Returned),
    /// The struct's message id.
    Msgid(c_short),
    /// Its text.
    Text(String),
    /// Whether the struct's context is not NULL.
    Context(bool),
    /// The status flags of the descriptor.
    Flags(Flags),
    /// How many AIO contexts the process has.
    Contexts(usize),
    /// How many reads of the process the kernel has not answered.
    InFlight(u64),
    /// How many reads of a file there have been.
    Reads(u64),
    /// Calls of `io_setup` so far.
    Setups(u64),
    /// Calls of `io_submit` so far.
    Submits(u64),
    /// Calls of `io_destroy` so far.
    Destroys(u64),
    /// How long the call took.
    Took(Took),
    /// What was logged.
    Log(Log),
    /// How many calls of many had which result.
    Results(BTreeMap<String, u64>),
    /// How many more files are open than before.
    Files(i64),
    /// How a child process ended, as `waitpid` says it.
    Exit(c_int),
    /// Anything else, in words.
    Note(String),
}

impl Observation {
    /// The name of the observation in reports.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Observation::Returned(_) => "returned",
            Observation::Msgid(_) => "msgid",
            Observation::Text(_) => "text",
            Observation::Context(_) => "context",
            Observation::Flags(_) => "flags",
            Observation::Contexts(_) => "contexts",
            Observation::InFlight(_) => "in flight",
            Observation::Reads(_) => "reads",
            Observation::Setups(_) => "io_setup calls",
            Observation::Submits(_) => "io_submit calls",
            Observation::Destroys(_) => "io_destroy calls",
            Observation::Took(_) => "took",
            Observation::Log(_) => "log",
            Observation::Results(_) => "results",
            Observation::Files(_) => "files",
            Observation::Exit(_) => "exit",
            Observation::Note(_) => "note",
        }
    }

    /// Whether the other observation is of the same kind.
    pub(crate) fn is_like(&self, other: &Observation) -> bool {
        discriminant(self) == discriminant(other)
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Observation::Returned(returned) => returned.fmt(f),
            Observation::Msgid(id) => id.fmt(f),
            Observation::Text(text) | Observation::Note(text) => write!(f, "{text:?}"),
            Observation::Context(set) => f.write_str(if *set { "set" } else { "null" }),
            Observation::Flags(flags) => flags.fmt(f),
            Observation::Contexts(count) => count.fmt(f),
            Observation::InFlight(count)
            | Observation::Reads(count)
            | Observation::Setups(count)
            | Observation::Submits(count)
            | Observation::Destroys(count) => count.fmt(f),
            Observation::Took(Took(0)) => f.write_str("at once"),
            Observation::Took(Took(seconds)) => write!(f, "about {seconds} s"),
            Observation::Log(log) => {
                let lines = log.0.iter().map(|(level, text)| format!("{level} {text}"));
                write!(f, "{:?}", lines.collect::<Vec<_>>())
            }
            Observation::Results(results) => {
                let texts = results
                    .iter()
                    .map(|(key, count)| format!("{count} × {key}"));
                f.write_str(&texts.collect::<Vec<_>>().join(", "))
            }
            Observation::Files(count) => count.fmt(f),
            Observation::Exit(status) => status.fmt(f),
        }
    }
}

/// A difference that the ledger allows. Both observations are of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Difference {
    /// The ledger's id.
    pub(crate) id: String,
    /// What holds with upstream's plugin.
    pub(crate) upstream: Observation,
    /// What holds with ours.
    pub(crate) ours: Observation,
}

impl Difference {
    /// What holds on a side.
    pub(crate) fn of(&self, side: Side) -> &Observation {
        match side {
            Side::Upstream => &self.upstream,
            Side::Ours => &self.ours,
        }
    }
}

/// Which entry point a step called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Call {
    /// `libcheck_free`
    Free,
    /// `libcheck_reset`
    Reset,
    /// Any other, or none.
    #[default]
    Other,
}

/// One step of a scenario on one side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// What was done.
    pub(crate) label: String,
    /// What it called.
    pub(crate) call: Call,
    /// How long that took, in milliseconds.
    pub(crate) millis: u64,
    /// Whether the kernel held reads of the process when the call began.
    pub(crate) hung: bool,
    /// Whether only our side takes this step: what upstream's plugin would do is undefined.
    pub(crate) alone: bool,
    /// What was seen afterwards.
    pub(crate) observed: Vec<Observation>,
    /// Where the sides may differ, and then must.
    pub(crate) differences: Vec<Difference>,
    /// Where this side contradicts what the scenario says of both.
    pub(crate) wrong: Vec<String>,
}

impl Step {
    /// The recorded observation of the same kind, if there is one.
    pub(crate) fn like(&self, observation: &Observation) -> Option<&Observation> {
        self.observed.iter().find(|one| one.is_like(observation))
    }

    /// The recorded log.
    pub(crate) fn log(&self) -> Option<&Log> {
        self.observed
            .iter()
            .find_map(|observation| match observation {
                Observation::Log(log) => Some(log),
                _ => None,
            })
    }
}
