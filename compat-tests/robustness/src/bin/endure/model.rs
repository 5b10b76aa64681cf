// SPDX-License-Identifier: LGPL-2.0-or-later

//! What a path may report, given what has happened to its device.

#![forbid(unsafe_code)]

use harness::state::State;

/// How a device behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Answers,
    Hangs,
    Fails,
}

/// What a checker reports in cases that checkers tell apart differently.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Of a device that answers with success and zeroes.
    pub(crate) healthy: State,
    /// When the time limit has passed.
    pub(crate) late: State,
}

/// The call that returned a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Check,
    /// When no check is in flight it returns the state that the host has stored.
    Pending,
}

/// One path with a checker.
#[derive(Clone, Debug)]
pub(crate) struct PathModel {
    expected: Expected,
    /// The time limit is so short that it may pass, even before a worker has begun.
    short_limit: bool,
    /// The device has answered at some time since the last verdict.
    answered: bool,
    /// The device has failed at some time since the last verdict.
    failed: bool,
    /// The state that the host has stored.
    stored: State,
    /// A check may be in flight of which no result has been asked for.
    uncollected: bool,
}

impl PathModel {
    pub(crate) fn new(device: Behaviour, expected: Expected, short_limit: bool) -> PathModel {
        let mut path = PathModel {
            expected,
            short_limit,
            answered: false,
            failed: false,
            stored: State::UNCHECKED,
            uncollected: false,
        };
        path.device_changed(device);
        path
    }

    /// The device behaves so from now on.
    pub(crate) fn device_changed(&mut self, device: Behaviour) {
        self.answered |= device == Behaviour::Answers;
        self.failed |= device == Behaviour::Fails;
    }

    /// A call returned `state`.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) fn returned(
        &mut self,
        state: State,
        device: Behaviour,
        call: Call,
    ) -> Result<(), String> {
        let stored = call == Call::Pending && state == self.stored;
        let possible = stored
            || state == State::PENDING
            || self.answered && state == self.expected.healthy
            || self.failed && state == State::DOWN
            || self.short_limit && (state == self.expected.late || state == State::UNCHECKED);
        if !possible {
            return Err(format!("{state} of {self:?}, whose device now {device:?}"));
        }
        if state != State::PENDING && !stored {
            (self.answered, self.failed) = (false, false);
            self.device_changed(device);
        }
        self.uncollected = call == Call::Check && state == State::PENDING;
        self.stored = state;
        Ok(())
    }

    /// Whether `libcheck_need_wait` may return true.
    pub(crate) fn may_need_wait(&self) -> bool {
        self.uncollected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Behaviour::{Answers, Fails, Hangs};

    const TUR: Expected = Expected {
        healthy: State::UP,
        late: State::TIMEOUT,
    };

    #[test]
    fn a_device_that_hangs_since_before_the_check_is_never_up() {
        let mut path = PathModel::new(Hangs, TUR, false);
        assert!(path.returned(State::PENDING, Hangs, Call::Check).is_ok());
        assert!(path.returned(State::UP, Hangs, Call::Check).is_err());
        assert!(path.returned(State::DOWN, Hangs, Call::Check).is_err());
        path.device_changed(Answers);
        assert!(path.returned(State::UP, Hangs, Call::Check).is_ok());
        assert!(path.returned(State::UP, Hangs, Call::Check).is_err());
        let stored = path.returned(State::UP, Hangs, Call::Pending);
        assert!(stored.is_ok(), "the stored state");
    }

    #[test]
    fn a_device_that_answers_is_not_down() {
        let mut path = PathModel::new(Answers, TUR, false);
        for wrong in [State::DOWN, State::UNCHECKED, State::GHOST, State::WILD] {
            assert!(
                path.returned(wrong, Answers, Call::Check).is_err(),
                "{wrong}"
            );
        }
        path.device_changed(Fails);
        assert!(path.returned(State::DOWN, Fails, Call::Check).is_ok());
    }

    #[test]
    fn only_short_limits_pass_and_each_checker_has_its_own_state_for_it() {
        for short_limit in [false, true] {
            for late in [State::DOWN, State::TIMEOUT] {
                for state in [State::DOWN, State::TIMEOUT] {
                    let expected = Expected { late, ..TUR };
                    let mut path = PathModel::new(Hangs, expected, short_limit);
                    let possible = path.returned(state, Hangs, Call::Check).is_ok();
                    assert_eq!(possible, short_limit && state == late);
                }
            }
        }
    }

    #[test]
    fn only_short_limits_pass_before_a_worker_has_begun() {
        for short_limit in [false, true] {
            let mut path = PathModel::new(Hangs, TUR, short_limit);
            let possible = path.returned(State::UNCHECKED, Hangs, Call::Check).is_ok();
            assert_eq!(possible, short_limit);
        }
    }

    #[test]
    fn a_wait_may_be_needed_between_check_and_pending_only() {
        let mut path = PathModel::new(Hangs, TUR, false);
        assert!(!path.may_need_wait());
        path.returned(State::PENDING, Hangs, Call::Check).unwrap();
        assert!(path.may_need_wait());
        path.returned(State::PENDING, Hangs, Call::Pending).unwrap();
        assert!(!path.may_need_wait());
    }
}
