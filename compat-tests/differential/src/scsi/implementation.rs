// SPDX-License-Identifier: LGPL-2.0-or-later

//! One of the two plugins that are compared, with what is expected of its host.

#![forbid(unsafe_code)]

use crate::scsi::loaded::Loaded;
use cases::Checker;
use harness::abi::Abi;
use harness::side::Side;
use harness::state::State;
use std::ffi::c_short;
use std::path::Path;

/// State and message id.
pub(crate) type Told = (State, c_short);

/// A plugin in a host.
pub(crate) struct Implementation {
    pub(crate) checker: Checker,
    pub(crate) abi: Abi,
    pub(crate) side: Side,
    pub(crate) plugin: Loaded,
}

/// How a host gets a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It waits in the call, as `multipath` does.
    Sync,
    /// It polls until the verdict is there, as `multipathd` does.
    Async,
}

impl Implementation {
    /// Loads `libcheck<name>.so` of a directory.
    ///
    /// # Errors
    /// When that fails, or when this project's plugin has the form that gives it 16 KiB of stack.
    pub(crate) fn load(
        checker: Checker,
        abi: Abi,
        side: Side,
        directory: &Path,
    ) -> Result<Implementation, String> {
        let file = format!("libcheck{}.so", checker.name());
        let plugin = Loaded::load(&directory.join(&file), checker.name(), abi)?;
        if side == Side::Ours && !matches!(plugin, Loaded::Entries(_)) {
            return Err(format!("{file} has a function for 0.15's runner threads"));
        }
        Ok(Implementation {
            checker,
            abi,
            side,
            plugin,
        })
    }

    /// Whether it is upstream's in a host of 0.15, which has an asynchronous protocol of its own.
    pub(crate) fn is_upstream_0_15(&self) -> bool {
        (self.side, self.abi) == (Side::Upstream, Abi::V0_15)
    }

    /// Whether a check may be in flight when a call returns. Upstream's checkers but tur make their
    /// host wait up to 0.14.
    pub(crate) fn is_asynchronous(&self) -> bool {
        self.side == Side::Ours || self.abi == Abi::V0_15 || self.checker == Checker::Tur
    }

    /// What a check that has not ended returns.
    pub(crate) fn running(&self) -> Told {
        let message = match (self.side, self.abi) {
            // T8: the message came with 0.9.5.
            (Side::Upstream, Abi::V0_7_9) => 0,
            // A3: the host's own.
            (Side::Upstream, Abi::V0_15) => 10,
            _ => self.own_message(0),
        };
        (State::PENDING, message)
    }

    /// What a check that did not end within its time limit returns.
    pub(crate) fn timed_out(&self) -> Told {
        let message = match (self.side, self.abi) {
            (Side::Upstream, Abi::V0_15) => 9,
            _ => self.own_message(1),
        };
        (State::TIMEOUT, message)
    }

    /// The id of a message about a run, which follows the messages about the path but in tur.
    fn own_message(&self, index: c_short) -> c_short {
        match self.checker {
            Checker::Rdac | Checker::EmcClariion => 109 + index,
            _ => 100 + index,
        }
    }
}

/// In which ways a table is run with a checker. Upstream's tur has threads of its own before 0.15, whose
/// starts and ends are the subject of [`scenarios`](crate::scsi::scenarios).
pub(crate) fn modes(checker: Checker, abi: Abi) -> &'static [Mode] {
    match checker {
        Checker::Tur if abi < Abi::V0_15 => &[Mode::Sync],
        _ => &[Mode::Async, Mode::Sync],
    }
}

/// The verdict on a device that answers every command with success and no data.
pub(crate) fn healthy(checker: Checker) -> Told {
    match checker {
        Checker::Rdac => (State::GHOST, 6),
        Checker::EmcClariion => (State::DOWN, 103),
        _ => (State::UP, 4),
    }
}

/// How many commands a check of such a device sends.
pub(crate) fn commands(checker: Checker) -> usize {
    match checker {
        Checker::HpSw | Checker::CcissTur => 2,
        _ => 1,
    }
}
