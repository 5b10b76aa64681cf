//! Under which conditions is measured.

use crate::options::Options;
use std::fmt;

/// What is behind the paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Device {
    /// Loop devices over files that are in the page cache.
    Loop,
    /// SCSI devices that answer after so many microseconds.
    Scsi {
        /// 0 is at once.
        micros: u32,
    },
}

impl Device {
    /// The fastest device that a checker can be used on.
    pub(crate) fn of(checker: &str) -> Device {
        match checker {
            "directio" => Device::Loop,
            _ => Device::Scsi { micros: 0 },
        }
    }
}

/// One set of conditions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    pub(crate) checker: String,
    pub(crate) device: Device,
    /// How many of a hundred paths hang.
    pub(crate) hung: u32,
    pub(crate) paths: usize,
}

impl Case {
    /// The plain case.
    pub(crate) fn new(checker: &str, paths: usize) -> Case {
        Case {
            checker: checker.to_owned(),
            device: Device::of(checker),
            hung: 0,
            paths,
        }
    }

    /// What this case has besides the plain one.
    pub(crate) fn condition(&self) -> String {
        let mut words = String::new();
        match self.device {
            Device::Loop | Device::Scsi { micros: 0 } => {}
            Device::Scsi { micros } => words = format!(", device of {micros} µs"),
        }
        if self.hung > 0 {
            words += &format!(", {} % hung", self.hung);
        }
        words
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} paths{}",
            self.checker,
            self.paths,
            self.condition()
        )
    }
}

/// All cases that the options ask for.
pub(crate) fn all(options: &Options) -> Vec<Case> {
    let mut cases = Vec::new();
    for checker in &options.checkers {
        for paths in &options.paths {
            let plain = Case::new(checker, *paths);
            let slow = |micros| Case {
                device: Device::Scsi { micros },
                ..plain.clone()
            };
            cases.push(plain.clone());
            if checker == "tur" {
                cases.push(slow(200));
                // C's checker of ABI 0.7.9 takes a millisecond for each of these and longer.
                if *paths <= 1024 {
                    cases.push(slow(5000));
                }
                if *paths >= 1000 {
                    cases.push(Case { hung: 10, ..plain });
                }
            }
        }
    }
    cases
}
