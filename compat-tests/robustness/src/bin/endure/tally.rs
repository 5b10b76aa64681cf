//! What passed and what did not, and the longest calls.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The longest call of one function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Longest {
    /// Without the time in which others ran instead.
    pub(crate) held: Duration,
    /// By the clock.
    pub(crate) wall: Duration,
    pub(crate) calls: u64,
    /// Whose call it was, and where in the kernel it was found, if it took long enough to look.
    pub(crate) place: String,
}

/// The longest calls, by function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Laps(BTreeMap<&'static str, Longest>);

impl Laps {
    /// Takes note of a call.
    pub(crate) fn note(
        &mut self,
        function: &'static str,
        wall: Duration,
        held: Duration,
        place: &str,
    ) {
        let one = Longest {
            held,
            wall,
            calls: 1,
            place: place.to_owned(),
        };
        self.merge(function, &one);
    }

    /// The functions of which a call was held up for longer than `limit`.
    pub(crate) fn slower_than(&self, limit: Duration) -> BTreeMap<&'static str, Longest> {
        let slow = self.0.iter().filter(|(_, one)| one.held > limit);
        slow.map(|(function, one)| (*function, one.clone()))
            .collect()
    }

    /// How many calls there were, and which was the longest.
    pub(crate) fn summary(&self) -> String {
        let calls: u64 = self.0.values().map(|one| one.calls).sum();
        match self.0.iter().max_by_key(|(_, one)| one.held) {
            Some((function, one)) => format!(
                "{calls:6} calls, the longest: {function}, {:.1} ms",
                millis(one.held)
            ),
            None => "no calls".to_owned(),
        }
    }

    pub(crate) fn add(&mut self, other: &Laps) {
        for (function, one) in &other.0 {
            self.merge(function, one);
        }
    }

    fn merge(&mut self, function: &'static str, one: &Longest) {
        let longest = self.0.entry(function).or_default();
        longest.wall = longest.wall.max(one.wall);
        longest.calls += one.calls;
        if one.held >= longest.held {
            longest.held = one.held;
            longest.place.clone_from(&one.place);
        }
    }
}

/// Results so far.
pub(crate) struct Tally {
    start: Instant,
    passed: u32,
    failed: u32,
    not_run: Vec<String>,
    /// By whose plugin.
    laps: BTreeMap<&'static str, Laps>,
    sequences: u64,
    /// Calls that were slow once and not when repeated.
    once_only: u32,
    longest_once_only: Option<(String, Longest)>,
}

/// The name of our plugins in the table.
pub(crate) const OURS: &str = "ours";

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            start: Instant::now(),
            passed: 0,
            failed: 0,
            not_run: Vec::new(),
            laps: BTreeMap::new(),
            sequences: 0,
            once_only: 0,
            longest_once_only: None,
        }
    }

    /// One test ended; what it found is printed.
    pub(crate) fn end(&mut self, name: &str, outcome: Result<String, String>) {
        let (word, text) = match outcome {
            Ok(found) => {
                self.passed += 1;
                ("ok    ", found)
            }
            Err(why) => {
                self.failed += 1;
                ("FAILED", why)
            }
        };
        let seconds = self.start.elapsed().as_secs();
        println!("{seconds:4} s  {word}  {name:<46} {text}");
    }

    /// One test could not run here.
    pub(crate) fn skip(&mut self, what: String) {
        println!("        not run {what}");
        self.not_run.push(what);
    }

    /// The calls of a test, by whose plugin.
    pub(crate) fn laps(&mut self, whose: &'static str, laps: &Laps) {
        self.laps.entry(whose).or_default().add(laps);
    }

    /// So many random sequences were played.
    pub(crate) fn sequences(&mut self, count: u64) {
        self.sequences += count;
    }

    /// A call was slow, and fast when all was repeated: the machine's doing. It is shown.
    pub(crate) fn slow_once(&mut self, function: &str, one: &Longest) {
        self.once_only += 1;
        let known = self.longest_once_only.as_ref();
        if known.is_none_or(|(_, known)| known.held < one.held) {
            self.longest_once_only = Some((function.to_owned(), one.clone()));
        }
    }

    /// Prints the end of it all.
    pub(crate) fn print(&self) -> ExitCode {
        if !self.laps.is_empty() {
            println!();
            println!("The longest calls: held up (without the turns of others), and by the clock");
            println!(
                "{:<12} {:<10} {:>10} {:>12} {:>12}",
                "", "", "calls", "held, ms", "clock, ms"
            );
        }
        for (whose, laps) in &self.laps {
            for (function, longest) in &laps.0 {
                println!(
                    "{whose:<12} {function:<10} {:>10} {:>12.3} {:>12.3}  {}",
                    longest.calls,
                    millis(longest.held),
                    millis(longest.wall),
                    longest.place
                );
            }
        }
        println!();
        if self.sequences > 0 {
            println!("{} random sequences played to our plugins", self.sequences);
        }
        if let Some((function, one)) = &self.longest_once_only {
            println!(
                "slow once and not when repeated: {} times, at most {:.1} ms ({function}; {})",
                self.once_only,
                millis(one.held),
                one.place
            );
        }
        if !self.not_run.is_empty() {
            println!("NOT RUN");
            for what in &self.not_run {
                println!("  {what}");
            }
        }
        let (passed, failed) = (self.passed, self.failed);
        println!(
            "{passed} passed, {failed} failed, {} not run",
            self.not_run.len()
        );
        if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// As a number to print.
pub(crate) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_call_keeps_its_place() {
        let ms = Duration::from_millis;
        let mut laps = Laps::default();
        laps.note("free", ms(1), ms(1), "here");
        laps.note("free", ms(9), ms(8), "there");
        laps.note("free", ms(20), ms(2), "elsewhere");
        let slow = laps.slower_than(ms(5));
        let free = slow.get("free").unwrap();
        assert_eq!((free.held, free.wall, free.calls), (ms(8), ms(20), 3));
        assert_eq!(free.place, "there");
        assert!(laps.slower_than(ms(8)).is_empty());
    }
}
