// SPDX-License-Identifier: LGPL-2.0-or-later

//! The conditions of a measurement.

#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

/// What is behind the paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Device {
    /// Loop devices over files that are in the page cache.
    Loop,
    /// Fake SCSI devices.
    Scsi {
        /// The time a command takes; 0 completes it at once.
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

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Loop => f.write_str("loop"),
            Device::Scsi { micros: 0 } => f.write_str("SCSI"),
            Device::Scsi { micros } => write!(f, "SCSI {micros} µs"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Device, String> {
        let micros = |words: &str| words.strip_suffix(" µs")?.trim().parse().ok();
        match text.strip_prefix("SCSI") {
            None if text == "loop" => Ok(Device::Loop),
            Some("") => Ok(Device::Scsi { micros: 0 }),
            Some(words) if micros(words).is_some() => Ok(Device::Scsi {
                micros: micros(words).unwrap_or_default(),
            }),
            _ => Err(format!("{text:?} is no device")),
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
    /// The fastest device, and no path hangs.
    pub(crate) fn new(checker: &str, paths: usize) -> Case {
        Case {
            checker: checker.to_owned(),
            device: Device::of(checker),
            hung: 0,
            paths,
        }
    }

    /// Whether the device is the fastest one and no path hangs.
    pub(crate) fn is_plain(&self) -> bool {
        self.device == Device::of(&self.checker) && self.hung == 0
    }

    /// The conditions without the checker.
    pub(crate) fn conditions(&self) -> String {
        let mut words = format!("{} paths", self.paths);
        if self.device != Device::of(&self.checker) {
            words += &format!(", {}", self.device);
        }
        if self.hung > 0 {
            words += &format!(", {} % hung", self.hung);
        }
        words
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.checker, self.conditions())
    }
}

/// All cases with these checkers and numbers of paths.
pub(crate) fn all(checkers: &[String], counts: &[usize]) -> Vec<Case> {
    let mut cases = Vec::new();
    for checker in checkers {
        for paths in counts {
            let plain = Case::new(checker, *paths);
            let slow = |micros| Case {
                device: Device::Scsi { micros },
                ..plain.clone()
            };
            cases.push(plain.clone());
            if checker == "tur" {
                cases.push(slow(200));
                // Upstream's checker of 0.7.9 takes a millisecond for each of these and longer.
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
