//! What counts as waiting.
//!
//! A call that lasts until its device is let go has waited for it: no more needs to be known. A
//! shorter one, longer than [`LIMIT`] all the same, may be the plugin's fault or that of the machine:
//! locks of the kernel, and its memory, may be in the hands of somebody who does not get his turn. So
//! all of it is repeated, and fails when the same function is slow every time. What was slow once
//! only is shown at the end, and must stay rare.

use crate::rig::{LIMIT, Rig};
use crate::tally::{Laps, Longest, Tally, millis};
use harness::Result;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often something slow is repeated.
const REPETITIONS: u32 = 6;

/// The calls of one test, and those that were slow once only.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) laps: Laps,
    once_only: Vec<(&'static str, Longest)>,
}

impl Findings {
    /// How many functions were slow once only, counted in each play.
    pub(crate) fn once_only(&self) -> usize {
        self.once_only.len()
    }

    /// Puts it on record.
    pub(crate) fn record(&self, tally: &mut Tally, whose: &'static str) {
        tally.laps(whose, &self.laps);
        for (function, one) in &self.once_only {
            tally.slow_once(function, one);
        }
    }

    /// Plays something until no function was slow every time.
    ///
    /// # Errors
    /// What failed; or which function was slow every time.
    pub(crate) fn play(
        &mut self,
        rig: &mut Rig,
        mut what: impl FnMut(&mut Rig) -> Result<()>,
    ) -> std::result::Result<(), String> {
        let mut always: Option<BTreeMap<&'static str, Longest>> = None;
        let mut seen = Vec::new();
        for repetition in 0..REPETITIONS {
            // A machine that is busy may be less so in a while.
            std::thread::sleep(Duration::from_millis(20) * repetition);
            let played = what(rig);
            let laps = rig.take_laps();
            self.laps.add(&laps);
            played.map_err(|trouble| trouble.to_string())?;
            let slow = laps.slower_than(LIMIT);
            seen.extend(slow.clone());
            let still = match always {
                None => slow,
                Some(before) => before
                    .into_iter()
                    .filter(|(function, _)| slow.contains_key(function))
                    .collect(),
            };
            if still.is_empty() {
                self.once_only.append(&mut seen);
                return Ok(());
            }
            always = Some(still);
        }
        let slow = always.unwrap_or_default();
        let words = slow.iter().map(|(function, one)| {
            format!(
                "{function} was held up each time, for {:.1} ms once ({})",
                millis(one.held),
                one.place
            )
        });
        Err(words.collect::<Vec<_>>().join("; "))
    }
}
