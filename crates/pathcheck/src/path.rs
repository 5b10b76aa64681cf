// SPDX-License-Identifier: LGPL-2.0-or-later

//! One device as the supervisor sees it: what the worker has reported, and the time limit.

use crate::choice::Choice;
use crate::device_info::{DEFAULT_TIMEOUT, DeviceInfo};
use crate::outcome::{Finding, Outcome};
use crate::protocol::{Event, Job, Step};
use checkers_core::{PathState, Seconds};
use std::time::{Duration, Instant};

/// How much later than its time limit a device's result may come from the worker.
const GRACE: Duration = Duration::from_millis(500);

/// One device, its information and its outcome.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) job: Job,
    pub(crate) info: Option<DeviceInfo>,
    pub(crate) outcome: Option<Outcome>,
    /// The step that it is at, and since when the device is being worked on.
    in_flight: Option<(Step, Instant)>,
}

impl Path {
    /// A device without information and outcome.
    pub(crate) fn new(job: Job) -> Path {
        Path {
            job,
            info: None,
            outcome: None,
            in_flight: None,
        }
    }

    /// The device's name for a terminal, without control characters.
    pub(crate) fn name(&self) -> String {
        let name = self.job.device.to_string_lossy();
        name.chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect()
    }

    /// Its checker; `None` before the kind of device is known.
    pub(crate) fn choice(&self) -> Option<Choice> {
        self.job.choice(self.info.as_ref())
    }

    /// The time limit of its check, in seconds.
    pub(crate) fn timeout(&self) -> u32 {
        let own = self
            .info
            .as_ref()
            .map_or(DEFAULT_TIMEOUT, |info| info.timeout);
        self.job.options.timeout.unwrap_or(own)
    }

    /// When the worker must have reported; `start` is when the program started.
    pub(crate) fn deadline(&self, start: Instant) -> Option<Instant> {
        let since = self.in_flight.map_or(start, |(_, since)| since);
        since.checked_add(Duration::from_secs(self.timeout().into()) + GRACE)
    }

    /// The outcome when the worker has not reported in time.
    pub(crate) fn overdue(&self) -> Outcome {
        let limit = Seconds(self.timeout());
        let message = match self.in_flight {
            Some((step, _)) => format!("{} has not returned within {limit}", step.name()),
            None => format!("there was no thread for it within {limit}"),
        };
        Outcome::Checked(Finding {
            hangs: true,
            ..Finding::new(PathState::Timeout, message)
        })
    }

    /// Records what the worker reports.
    pub(crate) fn apply(&mut self, event: Event) {
        match event {
            Event::Begins(step) => {
                let since = self.in_flight.map_or_else(Instant::now, |(_, since)| since);
                self.in_flight = Some((step, since));
            }
            Event::Found(info) => self.info = Some(info),
            Event::Ended(outcome) => self.outcome = Some(outcome),
        }
    }
}
