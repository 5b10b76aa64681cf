//! What the two processes say to each other: lines of JSON over the worker's standard input and
//! output.

use crate::choice::Choice;
use crate::facts::Facts;
use crate::outcome::Outcome;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;

/// One device to check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The file's path, as the user or the kernel's list gave it.
    pub(crate) device: OsString,
    /// The checker's name, unless the one that suits the device is wanted.
    pub(crate) checker: Option<String>,
    /// Whether a checker may change the device's settings, as rdac's does.
    pub(crate) mode_select: bool,
    /// The time limit in seconds, unless the device's own applies.
    pub(crate) timeout: Option<u32>,
    /// It comes from the kernel's list: nobody asked for this device in particular.
    pub(crate) listed: bool,
}

/// What the worker reports of the job at an index of the list it was given.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) job: usize,
    pub(crate) news: News,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum News {
    /// This begins now, and may block.
    Begins(Step),
    /// What the device is.
    Found(Facts),
    /// The job is done.
    Ended(Outcome),
}

/// A step of a job that a dead device can block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    LookUp,
    Open,
    Check,
}

impl Job {
    /// The checker for this device, as far as it is known what the device is.
    pub(crate) fn choice(&self, facts: Option<&Facts>) -> Option<Choice> {
        match &self.checker {
            Some(checker) => Some(Choice::asked_for(checker)),
            None => facts.map(Choice::for_device),
        }
    }
}

impl Step {
    /// The step as the subject of a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Step::LookUp => "looking the file up",
            Step::Open => "opening the device",
            Step::Check => "starting the check",
        }
    }
}
