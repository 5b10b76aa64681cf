// SPDX-License-Identifier: LGPL-2.0-or-later
//! The daemon's log: copied with time stamps, and read for ticks and state changes.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::ChildStderr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::wait::wait_until;

/// Lines about the sampler's requests, ten times a second. They are not copied.
const NOISE: [&str; 4] = [
    "cli[",
    "get_soonest_timeout: ",
    "list paths (operator)",
    "|",
];
/// How long reading the rest of the log may take after the process has ended.
const LOG_LIMIT: Duration = Duration::from_secs(10);

/// A log that a thread reads until the daemon closes it.
pub(super) struct DaemonLog(Arc<Mutex<State>>);

/// What a log has shown so far.
#[derive(Clone, Default)]
pub(super) struct State {
    is_complete: bool,
    pub(super) last_line: String,
    /// `None` if there is no line.
    pub(super) last_line_at: Option<Instant>,
    last_tick: Option<Instant>,
    longest_tick_gap: Duration,
    /// How often the daemon has read its configuration and set up the maps; `None` if the log has
    /// shown no state change. That of 0.8.5 never does.
    pub(super) configurations: Option<u32>,
}

impl State {
    fn read_line(&mut self, line: &str, now: Instant) {
        self.last_line_at = Some(now);
        line.clone_into(&mut self.last_line);
        if line.contains("tick (") {
            let gap = self.last_tick.map_or(Duration::ZERO, |last| now - last);
            self.longest_tick_gap = self.longest_tick_gap.max(gap);
            self.last_tick = Some(now);
        } else if line.contains("daemon state ") {
            let ends = u32::from(line.contains("daemon state configure -> "));
            self.configurations = Some(self.configurations.unwrap_or_default() + ends);
        }
    }
}

impl DaemonLog {
    /// Copies `stderr` to `log`, each line with the seconds since `start`.
    pub(super) fn copy(stderr: ChildStderr, log: File, start: Instant) -> DaemonLog {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || copy(stderr, log, start, &shared));
        DaemonLog(state)
    }

    /// What the log has shown so far.
    pub(super) fn now(&self) -> State {
        self.0.lock().map(|state| state.clone()).unwrap_or_default()
    }

    /// The same for a daemon that has ended; waits until the rest of the log has been read.
    pub(super) fn complete(&self) -> State {
        wait_until(LOG_LIMIT, || {
            self.0.lock().is_ok_and(|state| state.is_complete)
        });
        self.now()
    }

    /// The longest time between two ticks of the checker loop, including the time since the last.
    pub(super) fn longest_tick_gap(&self) -> Duration {
        let Ok(state) = self.0.lock() else {
            return Duration::MAX;
        };
        let current = state.last_tick.map_or(Duration::ZERO, |t| t.elapsed());
        state.longest_tick_gap.max(current)
    }
}

fn copy(stderr: ChildStderr, mut log: File, start: Instant, state: &Mutex<State>) {
    // Names read from a device need not be UTF-8.
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let now = Instant::now();
        if let Ok(mut state) = state.lock() {
            state.read_line(&line, now);
        }
        if NOISE.iter().any(|noise| line.contains(noise)) {
            continue;
        }
        let at = now.duration_since(start).as_secs_f64();
        // A full disk on the host must not end the run.
        let _ = writeln!(log, "{at:9.3} {line}");
    }
    if let Ok(mut state) = state.lock() {
        state.is_complete = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_configurations_are_read_from_the_log() {
        let mut state = State::default();
        let start = Instant::now();
        let mut line = |text, second| {
            state.read_line(text, start + Duration::from_secs(second));
            (state.longest_tick_gap.as_secs(), state.configurations)
        };
        assert_eq!(line("tick (1 ticks)", 5), (0, None));
        assert_eq!(line("daemon state idle -> configure", 6), (0, Some(0)));
        assert_eq!(line("daemon state configure -> running", 7), (0, Some(1)));
        assert_eq!(line("tick (1 ticks)", 8), (3, Some(1)));
        assert_eq!(line("tick (1 ticks)", 9), (3, Some(1)));
    }
}
