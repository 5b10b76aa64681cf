// SPDX-License-Identifier: LGPL-2.0-or-later

//! Which call counts as one that waits.
//!
//! A call that lasts until its device is released has waited for it. A shorter one that is longer than
//! [`LIMIT`] may be the plugin's fault or the machine's: a lock of the kernel or its memory may be held
//! by a process that does not run. The whole test is then repeated, and fails when the same function is
//! slow every time. What was slow once only is printed at the end, and must stay rare.

#![forbid(unsafe_code)]

use crate::call_times::{CallTimes, LIMIT, Longest, millis};
use crate::options::Subject;
use crate::report::Report;
use crate::test_host::{Layout, TestHost};
use harness::{Result, Trouble};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a slow test is repeated.
const REPETITIONS: u32 = 6;

/// The calls of one test.
#[derive(Default)]
pub(crate) struct LatencyCheck {
    pub(crate) times: CallTimes,
    /// Functions that were slow once only, for each test that was repeated.
    slow_once: Vec<(&'static str, Longest)>,
}

impl LatencyCheck {
    /// How many functions were slow once only.
    pub(crate) fn slow_once(&self) -> usize {
        self.slow_once.len()
    }

    /// Enters everything into the report.
    pub(crate) fn record(&self, report: &mut Report, group: &str) {
        report.add_times(group, &self.times);
        for (function, one) in &self.slow_once {
            report.add_slow_once(function, one);
        }
    }

    /// Runs a test until no function was slow every time.
    ///
    /// # Errors
    /// What failed, or which function was slow every time.
    pub(crate) fn run(
        &mut self,
        host: &mut TestHost,
        mut test: impl FnMut(&mut TestHost) -> Result<()>,
    ) -> Result<()> {
        let mut always: Option<BTreeMap<&'static str, Longest>> = None;
        let mut seen = Vec::new();
        for repetition in 0..REPETITIONS {
            // A machine that is busy may be less so after a while.
            std::thread::sleep(Duration::from_millis(20) * repetition);
            let result = test(host);
            let times = host.take_times();
            self.times.add(&times);
            result?;
            let slow = times.slower_than(LIMIT);
            seen.extend(slow.clone());
            let still = match always {
                None => slow,
                Some(before) => before
                    .into_iter()
                    .filter(|(function, _)| slow.contains_key(function))
                    .collect(),
            };
            if still.is_empty() {
                self.slow_once.append(&mut seen);
                return Ok(());
            }
            always = Some(still);
        }
        let slow = always.unwrap_or_default();
        let words = slow.iter().map(|(function, one)| {
            let held = millis(one.held);
            format!(
                "{function} took too long each time, {held:.1} ms once ({})",
                one.place
            )
        });
        Err(Trouble::Broken(words.collect::<Vec<_>>().join("; ")))
    }
}

/// Runs a test with a host of its own, and enters it into the report.
pub(crate) fn with_host(
    subject: &Subject,
    layout: &Layout,
    name: &str,
    report: &mut Report,
    test: impl FnOnce(&mut TestHost, &mut LatencyCheck) -> Result<String>,
) {
    let mut check = LatencyCheck::default();
    let result = TestHost::new(subject, layout).and_then(|mut host| {
        host.run_at_real_time();
        test(&mut host, &mut check)
    });
    check.record(report, &subject.group());
    report.end(name, result);
}

/// Fails unless a call of an upstream plugin that is known to wait did wait.
pub(crate) fn has_waited(check: &LatencyCheck) -> Result<String> {
    let times = check.times.describe();
    match check.times.slower_than(LIMIT).is_empty() {
        true => Err(Trouble::Broken(format!(
            "it waits, and that was not noticed: {times}"
        ))),
        false => Ok(times),
    }
}
