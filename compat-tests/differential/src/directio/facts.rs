// SPDX-License-Identifier: LGPL-2.0-or-later

//! What is recorded of each step of a scenario: typed facts, and what the scenario says of them.
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

/// One fact, which holds after a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fact {
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

impl Fact {
    /// What reports call the fact.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Fact::Returned(_) => "returned",
            Fact::Msgid(_) => "msgid",
            Fact::Text(_) => "text",
            Fact::Context(_) => "context",
            Fact::Flags(_) => "flags",
            Fact::Contexts(_) => "contexts",
            Fact::InFlight(_) => "in flight",
            Fact::Reads(_) => "reads",
            Fact::Setups(_) => "io_setup calls",
            Fact::Submits(_) => "io_submit calls",
            Fact::Destroys(_) => "io_destroy calls",
            Fact::Took(_) => "took",
            Fact::Log(_) => "log",
            Fact::Results(_) => "results",
            Fact::Files(_) => "files",
            Fact::Exit(_) => "exit",
            Fact::Note(_) => "note",
        }
    }

    /// Whether the other fact says the same kind of thing.
    pub(crate) fn is_like(&self, other: &Fact) -> bool {
        discriminant(self) == discriminant(other)
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Returned(returned) => returned.fmt(f),
            Fact::Msgid(id) => id.fmt(f),
            Fact::Text(text) | Fact::Note(text) => write!(f, "{text:?}"),
            Fact::Context(set) => f.write_str(if *set { "set" } else { "null" }),
            Fact::Flags(flags) => flags.fmt(f),
            Fact::Contexts(count) => count.fmt(f),
            Fact::InFlight(count)
            | Fact::Reads(count)
            | Fact::Setups(count)
            | Fact::Submits(count)
            | Fact::Destroys(count) => count.fmt(f),
            Fact::Took(Took(0)) => f.write_str("at once"),
            Fact::Took(Took(seconds)) => write!(f, "about {seconds} s"),
            Fact::Log(log) => {
                let lines = log.0.iter().map(|(level, text)| format!("{level} {text}"));
                write!(f, "{:?}", lines.collect::<Vec<_>>())
            }
            Fact::Results(results) => {
                let texts = results
                    .iter()
                    .map(|(key, count)| format!("{count} × {key}"));
                f.write_str(&texts.collect::<Vec<_>>().join(", "))
            }
            Fact::Files(count) => count.fmt(f),
            Fact::Exit(status) => status.fmt(f),
        }
    }
}

/// A difference that the ledger allows. Both facts are of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Difference {
    /// The ledger's id.
    pub(crate) id: String,
    /// What holds with upstream's plugin.
    pub(crate) upstream: Fact,
    /// What holds with ours.
    pub(crate) ours: Fact,
}

impl Difference {
    /// What holds on a side.
    pub(crate) fn of(&self, side: Side) -> &Fact {
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
    pub(crate) facts: Vec<Fact>,
    /// Where the sides may differ, and then must.
    pub(crate) differences: Vec<Difference>,
    /// Where this side contradicts what the scenario says of both.
    pub(crate) wrong: Vec<String>,
}

impl Step {
    /// The recorded fact of the same kind, if there is one.
    pub(crate) fn like(&self, fact: &Fact) -> Option<&Fact> {
        self.facts.iter().find(|one| one.is_like(fact))
    }

    /// The recorded log.
    pub(crate) fn log(&self) -> Option<&Log> {
        self.facts.iter().find_map(|fact| match fact {
            Fact::Log(log) => Some(log),
            _ => None,
        })
    }
}
