// SPDX-License-Identifier: LGPL-2.0-or-later

//! What is measured, and how samples become one number.

#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

/// What a number says. The order is that of the printed tables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// From the first check to the last verdict.
    Round,
    /// The round in which paths begin to hang, until the last of the others has its verdict.
    FirstHungRound,
    /// A round after it.
    HungRound,
    /// Processor time per check, user and system, of the whole process.
    Processor,
    /// The call of a round that held its thread up the longest.
    LongestCall,
    /// Threads started in one round.
    ThreadsCreated,
    /// Threads alive at most, the host's own included.
    ThreadsMost,
    /// System calls per check.
    Syscalls,
    /// Of these, those of one name.
    SyscallsOf(String),
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
    /// Time of `libcheck_init`.
    Init,
    /// Time of `libcheck_free`.
    Free,
    /// Processor time per path of a run of pathcheck. The lower bound looks a path up, opens it, reads
    /// its first block and closes it.
    Pathcheck,
}

/// The names in results, with their units. None holds a comma.
const NAMES: [(Figure, &str); 19] = [
    (Figure::Round, "round (ms)"),
    (Figure::FirstHungRound, "first round with hung paths (ms)"),
    (Figure::HungRound, "later rounds with hung paths (ms)"),
    (Figure::Processor, "CPU per check (µs)"),
    (Figure::LongestCall, "longest call (µs)"),
    (Figure::ThreadsCreated, "threads started in a round"),
    (Figure::ThreadsMost, "threads at most"),
    (Figure::Syscalls, "system calls per check"),
    (
        Figure::FreshResident,
        "resident bytes per path before the first check",
    ),
    (Figure::RecentLocked, "locked bytes per path after a round"),
    (Figure::IdleResident, "resident bytes per idle path"),
    (Figure::IdleLocked, "locked bytes per idle path"),
    (Figure::HungResident, "resident bytes per path in flight"),
    (Figure::HungLocked, "locked bytes per path in flight"),
    (Figure::AioContexts, "AIO contexts"),
    (Figure::Descriptors, "descriptors of the checkers' own"),
    (Figure::Init, "init (µs)"),
    (Figure::Free, "free (µs)"),
    (Figure::Pathcheck, "CPU per path of pathcheck (µs)"),
];

/// What the names of single system calls begin with.
const SYSCALLS_OF: &str = "system calls per check: ";

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Figure::SyscallsOf(name) => write!(f, "{SYSCALLS_OF}{name}"),
            _ => {
                let named = NAMES.iter().find(|(figure, _)| figure == self);
                f.write_str(named.map_or("", |(_, name)| name))
            }
        }
    }
}

impl FromStr for Figure {
    type Err = String;

    fn from_str(text: &str) -> Result<Figure, String> {
        if let Some(name) = text.strip_prefix(SYSCALLS_OF) {
            return Ok(Figure::SyscallsOf(name.to_owned()));
        }
        let named = NAMES.iter().find(|(_, name)| *name == text);
        named
            .map(|(figure, _)| figure.clone())
            .ok_or_else(|| format!("{text:?} is no figure"))
    }
}

/// The median of samples, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// `None` without a sample.
    pub(crate) fn of(samples: &[f64]) -> Option<Spread> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let lower = match sorted.len() % 2 {
            0 => *sorted.get(middle - 1)?,
            _ => upper,
        };
        Some(Spread {
            median: (lower + upper) / 2.0,
            least: *sorted.first()?,
            most: *sorted.last()?,
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", short(self.median))?;
        if self.least != self.most {
            write!(f, " ({}–{})", short(self.least), short(self.most))?;
        }
        Ok(())
    }
}

/// Three significant digits; below 1, two decimal places.
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
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]).unwrap().median, 2.0);
        let even = Spread::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((even.median, even.least, even.most), (2.5, 1.0, 4.0));
    }

    #[test]
    fn digits() {
        let texts: Vec<_> = [0.0, 7.0, 0.123, 4.567, 45.67, 456.7, 4567.8]
            .map(short)
            .into();
        assert_eq!(texts, ["0", "7", "0.12", "4.57", "45.7", "457", "4568"]);
    }

    #[test]
    fn names_are_read_back() {
        for (figure, name) in NAMES {
            assert!(!name.contains(','));
            assert_eq!(name.parse(), Ok(figure));
        }
        let io_submit = Figure::SyscallsOf("io_submit".to_owned());
        assert_eq!(io_submit.to_string().parse(), Ok(io_submit));
    }
}
