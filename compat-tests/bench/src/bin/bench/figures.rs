//! Figures: what is measured, and how a number of samples becomes one.

use std::fmt;

/// What a figure says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Quantity {
    /// From the first check to the last verdict, in milliseconds.
    Round,
    /// The round in which paths begin to hang, until the last of the others has its verdict.
    FirstHungRound,
    /// The rounds after it.
    HungRound,
    /// Processor time per check in microseconds, user and system, of the whole process.
    Processor,
    /// Threads started in one round.
    ThreadsCreated,
    /// Threads alive at most, the host's own included.
    ThreadsMost,
    /// System calls per check.
    Syscalls,
    /// Resident bytes per path, before the first check.
    FreshResident,
    /// Locked bytes per path when the last verdict of a round is in.
    RecentLocked,
    /// Resident bytes per path seconds after that.
    IdleResident,
    /// Locked bytes per path seconds after that.
    IdleLocked,
    /// Resident bytes per path while its device does not answer.
    HungResident,
    /// Locked bytes per path while its device does not answer.
    HungLocked,
    /// Each counts 1024 against fs.aio-max-nr.
    AioContexts,
    /// Descriptors besides the paths' own.
    Descriptors,
    /// Making a checker, in microseconds.
    Init,
    /// Ending it.
    Free,
    /// Processor time per path of a run of pathcheck, in microseconds. The floor's is that of a look-up,
    /// an open, a read and a close.
    Command,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantity::Round => "round, ms",
            Quantity::FirstHungRound => "first round with hung paths, ms",
            Quantity::HungRound => "later rounds with hung paths, ms",
            Quantity::Processor => "CPU per check, µs",
            Quantity::ThreadsCreated => "threads started in a round",
            Quantity::ThreadsMost => "threads at most",
            Quantity::Syscalls => "system calls per check",
            Quantity::FreshResident => "bytes per path before the first check, resident",
            Quantity::RecentLocked => "bytes per path after a round, locked",
            Quantity::IdleResident => "bytes per idle path, resident",
            Quantity::IdleLocked => "bytes per idle path, locked",
            Quantity::HungResident => "bytes per path in flight, resident",
            Quantity::HungLocked => "bytes per path in flight, locked",
            Quantity::AioContexts => "AIO contexts",
            Quantity::Descriptors => "descriptors of the checkers' own",
            Quantity::Init => "init, µs",
            Quantity::Free => "free, µs",
            Quantity::Command => "CPU per path of pathcheck, µs",
        })
    }
}

/// The median of some samples, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Figure {
    /// Of at least one sample.
    pub(crate) fn of(samples: &[f64]) -> Option<Figure> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let lower = match sorted.len() % 2 {
            0 => *sorted.get(middle - 1)?,
            _ => upper,
        };
        Some(Figure {
            median: (lower + upper) / 2.0,
            least: *sorted.first()?,
            most: *sorted.last()?,
        })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", short(self.median))?;
        if self.least != self.most {
            write!(f, " ({}–{})", short(self.least), short(self.most))?;
        }
        Ok(())
    }
}

/// Three significant digits, as many as such figures have.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    if value == value.trunc() || size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(Figure::of(&[]), None);
        assert_eq!(Figure::of(&[3.0, 1.0, 2.0]).unwrap().median, 2.0);
        let even = Figure::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((even.median, even.least, even.most), (2.5, 1.0, 4.0));
    }

    #[test]
    fn digits() {
        let texts: Vec<_> = [0.0, 7.0, 0.123, 4.567, 45.67, 456.7, 4567.8]
            .map(short)
            .into();
        assert_eq!(texts, ["0", "7", "0.12", "4.57", "45.7", "457", "4568"]);
    }
}
