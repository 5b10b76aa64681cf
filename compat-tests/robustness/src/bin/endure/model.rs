//! What a path may say, given what has happened to its device.

/// `enum path_state` of multipath-tools, as far as checkers use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Wild,
    Unchecked,
    Down,
    Up,
    Shaky,
    Ghost,
    Pending,
    Timeout,
    Other(i64),
}

impl State {
    pub(crate) fn from_raw(raw: i64) -> State {
        match raw {
            0 => State::Wild,
            1 => State::Unchecked,
            2 => State::Down,
            3 => State::Up,
            4 => State::Shaky,
            5 => State::Ghost,
            6 => State::Pending,
            7 => State::Timeout,
            other => State::Other(other),
        }
    }
}

/// How a device behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Answers,
    Hangs,
    Fails,
}

/// What a checker says in cases that checkers tell apart differently.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// Of a device that answers with success and zeroes.
    pub(crate) healthy: State,
    /// When the time limit has passed.
    pub(crate) late: State,
}

/// Which of the two calls an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Check,
    /// Where nothing is under way it gives the host's own state back.
    Pending,
}

/// One path with a checker.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    dialect: Dialect,
    /// A time limit so short that it may have passed, also before a worker has begun.
    impatient: bool,
    /// How the device has been at some time since the last verdict.
    answered: bool,
    failed: bool,
    /// What the host has stored.
    stored: State,
    /// A check may be under way that has not been looked at since it began.
    unseen: bool,
}

impl Life {
    pub(crate) fn new(device: Behaviour, dialect: Dialect, impatient: bool) -> Life {
        let mut life = Life {
            dialect,
            impatient,
            answered: false,
            failed: false,
            stored: State::Unchecked,
            unseen: false,
        };
        life.device_is(device);
        life
    }

    /// The device behaves so from now on.
    pub(crate) fn device_is(&mut self, device: Behaviour) {
        self.answered |= device == Behaviour::Answers;
        self.failed |= device == Behaviour::Fails;
    }

    /// A call said this.
    pub(crate) fn says(
        &mut self,
        state: State,
        device: Behaviour,
        call: Call,
    ) -> Result<(), String> {
        let echo = call == Call::Pending && state == self.stored;
        let possible = echo
            || state == State::Pending
            || self.answered && state == self.dialect.healthy
            || self.failed && state == State::Down
            || self.impatient && (state == self.dialect.late || state == State::Unchecked);
        if !possible {
            return Err(format!(
                "{state:?} of {self:?}, whose device now {device:?}"
            ));
        }
        if state != State::Pending && !echo {
            (self.answered, self.failed) = (false, false);
            self.device_is(device);
        }
        self.unseen = call == Call::Check && state == State::Pending;
        self.stored = state;
        Ok(())
    }

    /// Whether `libcheck_need_wait` may say yes.
    pub(crate) fn may_want_a_wait(&self) -> bool {
        self.unseen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Behaviour::{Answers, Fails, Hangs};

    const TUR: Dialect = Dialect {
        healthy: State::Up,
        late: State::Timeout,
    };

    #[test]
    fn a_device_that_hangs_since_before_the_check_is_never_up() {
        let mut life = Life::new(Hangs, TUR, false);
        assert!(life.says(State::Pending, Hangs, Call::Check).is_ok());
        assert!(life.says(State::Up, Hangs, Call::Check).is_err());
        assert!(life.says(State::Down, Hangs, Call::Check).is_err());
        life.device_is(Answers);
        assert!(life.says(State::Up, Hangs, Call::Check).is_ok());
        assert!(life.says(State::Up, Hangs, Call::Check).is_err());
        let stored = life.says(State::Up, Hangs, Call::Pending);
        assert!(stored.is_ok(), "the stored state");
    }

    #[test]
    fn a_device_that_answers_is_not_down() {
        let mut life = Life::new(Answers, TUR, false);
        for wrong in [State::Down, State::Unchecked, State::Ghost, State::Wild] {
            assert!(life.says(wrong, Answers, Call::Check).is_err(), "{wrong:?}");
        }
        life.device_is(Fails);
        assert!(life.says(State::Down, Fails, Call::Check).is_ok());
    }

    #[test]
    fn only_the_impatient_time_out_and_each_in_its_own_words() {
        for impatient in [false, true] {
            for late in [State::Down, State::Timeout] {
                for said in [State::Down, State::Timeout] {
                    let mut life = Life::new(Hangs, Dialect { late, ..TUR }, impatient);
                    let possible = life.says(said, Hangs, Call::Check).is_ok();
                    assert_eq!(possible, impatient && said == late);
                }
            }
        }
    }

    #[test]
    fn only_the_impatient_may_end_before_a_worker_has_begun() {
        for impatient in [false, true] {
            let mut life = Life::new(Hangs, TUR, impatient);
            let possible = life.says(State::Unchecked, Hangs, Call::Check).is_ok();
            assert_eq!(possible, impatient);
        }
    }

    #[test]
    fn a_wait_is_wanted_between_check_and_look_only() {
        let mut life = Life::new(Hangs, TUR, false);
        assert!(!life.may_want_a_wait());
        life.says(State::Pending, Hangs, Call::Check).unwrap();
        assert!(life.may_want_a_wait());
        life.says(State::Pending, Hangs, Call::Pending).unwrap();
        assert!(!life.may_want_a_wait());
    }
}
