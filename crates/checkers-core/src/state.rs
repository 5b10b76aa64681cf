//! The states a path can be in, as the checker ABI numbers them.

/// The state of a path, with the value that `libcheck_check` returns for it.
///
/// The numbering is that of multipath-tools 0.6.0 and later; [`PathState::Disconnected`] came with
/// 0.14.0 and must not be shown to an older host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum PathState {
    /// The checker cannot judge this path at all; the daemon keeps the state it knew.
    Wild = 0,
    /// No check was made; the daemon keeps the state it knew.
    Unchecked = 1,
    /// The path does not work.
    Down = 2,
    /// The path works.
    Up = 3,
    /// The path answers, but is not available for normal operation.
    Shaky = 4,
    /// A passive path: usable after a failover.
    Ghost = 5,
    /// The check is still running, or the target is in a transition.
    Pending = 6,
    /// The check did not end in time.
    Timeout = 7,
    /// The path has been removed from the system.
    Removed = 8,
    /// A path whose reinstatement the daemon delays.
    Delayed = 9,
    /// The target no longer maps this unit to us (0.14.0 and later).
    Disconnected = 10,
}

impl PathState {
    /// Every state, in the order of the values.
    pub const ALL: [PathState; 11] = [
        PathState::Wild,
        PathState::Unchecked,
        PathState::Down,
        PathState::Up,
        PathState::Shaky,
        PathState::Ghost,
        PathState::Pending,
        PathState::Timeout,
        PathState::Removed,
        PathState::Delayed,
        PathState::Disconnected,
    ];

    /// The value in the C ABI.
    pub const fn as_raw(self) -> i32 {
        self as i32
    }

    /// The state with this value, or `None` when no release of multipath-tools knows it.
    pub fn from_raw(raw: i32) -> Option<PathState> {
        usize::try_from(raw)
            .ok()
            .and_then(|index| Self::ALL.get(index).copied())
    }

    /// The name that `checker_state_name` gives, for example `"up"`.
    pub const fn name(self) -> &'static str {
        match self {
            PathState::Wild => "wild",
            PathState::Unchecked => "unchecked",
            PathState::Down => "down",
            PathState::Up => "up",
            PathState::Shaky => "shaky",
            PathState::Ghost => "ghost",
            PathState::Pending => "pending",
            PathState::Timeout => "timeout",
            PathState::Removed => "removed",
            PathState::Delayed => "delayed",
            PathState::Disconnected => "disconnected",
        }
    }
}

impl std::fmt::Display for PathState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip_and_everything_else_is_refused() {
        for (value, state) in (0..).zip(PathState::ALL) {
            assert_eq!(state.as_raw(), value);
            assert_eq!(PathState::from_raw(value), Some(state));
        }
        for stranger in [-1, 11, i32::MIN, i32::MAX] {
            assert_eq!(PathState::from_raw(stranger), None);
        }
    }
}
