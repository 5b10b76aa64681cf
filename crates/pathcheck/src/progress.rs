// SPDX-License-Identifier: LGPL-2.0-or-later

//! A line on the terminal with the devices that are being waited for.

use crate::path::Path;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How long no line is shown.
const QUIET: Duration = Duration::from_secs(1);

/// How many devices are named.
const NAMED: usize = 3;

/// The line; nothing at all when standard error is not a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    start: Instant,
    terminal: bool,
    /// The text on the terminal now; empty without one.
    shown: String,
}

impl Progress {
    pub(crate) fn new(start: Instant) -> Progress {
        Progress {
            start,
            terminal: io::stderr().is_terminal(),
            shown: String::new(),
        }
    }

    /// Whether the checks have taken so long that the line is shown.
    pub(crate) fn takes_long(&self) -> bool {
        self.start.elapsed() >= QUIET
    }

    /// Removes the line, if there is one.
    pub(crate) fn clear(&mut self) {
        self.say(String::new());
    }

    /// Shows what is being waited for.
    pub(crate) fn show(&mut self, paths: &[Path]) {
        if self.terminal && self.takes_long() {
            self.say(line(paths, self.start, Instant::now()).unwrap_or_default());
        }
    }

    fn say(&mut self, text: String) {
        if text != self.shown {
            // A closed stream does not end the checks.
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
            self.shown = text;
        }
    }
}

fn line(paths: &[Path], start: Instant, now: Instant) -> Option<String> {
    let waiting = || paths.iter().filter(|path| path.outcome.is_none());
    let count = waiting().count();
    if count == 0 {
        return None;
    }
    let names: Vec<_> = waiting().take(NAMED).map(Path::name).collect();
    let more = if count > NAMED { " …" } else { "" };
    let left = waiting()
        .filter_map(|path| path.deadline(start))
        .max()
        .map_or(Duration::ZERO, |deadline| {
            deadline.saturating_duration_since(now)
        });
    Some(format!(
        "waiting for {count} of {} ({}{more}), at most {} s",
        paths.len(),
        names.join(" "),
        left.as_secs() + 1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::protocol::{Job, Options};
    use std::sync::Arc;

    #[test]
    fn names_a_few_and_counts_the_rest() {
        let path = |device: &str| {
            Path::new(Job {
                device: device.into(),
                options: Arc::new(Options {
                    timeout: Some(9),
                    ..Options::default()
                }),
            })
        };
        let start = Instant::now();
        let mut paths: Vec<_> = ["a", "b\x1b[2J", "c", "d", "e"].map(path).into();
        paths[0].outcome = Some(Outcome::Skipped(String::new()));
        assert_eq!(
            line(&paths, start, start + Duration::from_secs(2)).unwrap(),
            "waiting for 4 of 5 (b?[2J c d …), at most 8 s"
        );
        assert_eq!(line(&paths[..1], start, start), None);
    }
}
