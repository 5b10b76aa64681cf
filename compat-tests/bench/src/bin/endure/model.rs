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

/// One path with a checker.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    /// What the checker says of a device that answers: a healthy one need not be UP, it may speak
    /// another dialect.
    healthy: Option<State>,
    /// A time limit so short that it may have passed.
    impatient: bool,
    /// How the device has been at some time since the last verdict.
    answered: bool,
    failed: bool,
    /// What the host has stored.
    stored: State,
}

impl Life {
    pub(crate) fn new(device: Behaviour, healthy: Option<State>, impatient: bool) -> Life {
        let mut life = Life {
            healthy,
            impatient,
            answered: false,
            failed: false,
            stored: State::Unchecked,
        };
        life.device_is(device);
        life
    }

    /// The device behaves so from now on.
    pub(crate) fn device_is(&mut self, device: Behaviour) {
        self.answered |= device == Behaviour::Answers;
        self.failed |= device == Behaviour::Fails;
    }

    /// A check or a look at one said this. `idle_look` is for a `pending` where nothing need be
    /// under way: the host's own state comes back.
    pub(crate) fn says(
        &mut self,
        state: State,
        device: Behaviour,
        idle_look: bool,
    ) -> Result<(), String> {
        let possible = match state {
            _ if idle_look && state == self.stored => true,
            State::Pending => true,
            State::Timeout => self.impatient,
            State::Down => self.failed || self.impatient || self.answered && self.is_healthy(state),
            state => self.answered && self.is_healthy(state),
        };
        if !possible {
            return Err(format!(
                "{state:?} of {self:?}, whose device now {device:?}"
            ));
        }
        if state != State::Pending && !(idle_look && state == self.stored) {
            (self.answered, self.failed) = (false, false);
            self.device_is(device);
        }
        self.stored = state;
        Ok(())
    }

    fn is_healthy(&self, state: State) -> bool {
        self.healthy.is_none_or(|healthy| healthy == state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_hangs_since_before_the_check_is_never_up() {
        let mut life = Life::new(Behaviour::Hangs, Some(State::Up), false);
        assert!(life.says(State::Pending, Behaviour::Hangs, false).is_ok());
        assert!(life.says(State::Up, Behaviour::Hangs, false).is_err());
        assert!(life.says(State::Down, Behaviour::Hangs, false).is_err());
        life.device_is(Behaviour::Answers);
        assert!(life.says(State::Up, Behaviour::Hangs, false).is_ok());
        assert!(life.says(State::Up, Behaviour::Hangs, false).is_err());
        assert!(
            life.says(State::Up, Behaviour::Hangs, true).is_ok(),
            "the stored state"
        );
    }

    #[test]
    fn only_the_impatient_time_out() {
        for impatient in [false, true] {
            let mut life = Life::new(Behaviour::Hangs, Some(State::Up), impatient);
            let said = life.says(State::Timeout, Behaviour::Hangs, false);
            assert_eq!(said.is_ok(), impatient);
        }
    }
}
