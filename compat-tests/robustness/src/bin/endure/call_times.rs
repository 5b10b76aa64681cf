// SPDX-License-Identifier: LGPL-2.0-or-later

//! The longest calls.

#![forbid(unsafe_code)]

use bench::protocol::Lap;
use std::collections::BTreeMap;
use std::time::Duration;

/// The limit for one call, without the time in which its thread was ready to run and others ran.
pub(crate) const LIMIT: Duration = Duration::from_millis(5);

/// The longest call of one function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Longest {
    /// Without the time in which other threads ran.
    pub(crate) held: Duration,
    /// By the clock.
    pub(crate) wall: Duration,
    pub(crate) calls: u64,
    /// The plugin, and the kernel functions in which the call was found if it was slow.
    pub(crate) place: String,
}

/// The longest calls, by function.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallTimes(BTreeMap<&'static str, Longest>);

impl CallTimes {
    /// Adds one call.
    pub(crate) fn add_call(&mut self, function: &'static str, lap: Lap, place: &str) {
        let one = Longest {
            held: lap.held,
            wall: lap.wall,
            calls: 1,
            place: place.to_owned(),
        };
        self.merge(function, &one);
    }

    /// The functions of which a call took longer than `limit`.
    pub(crate) fn slower_than(&self, limit: Duration) -> BTreeMap<&'static str, Longest> {
        let slow = self.0.iter().filter(|(_, one)| one.held > limit);
        slow.map(|(function, one)| (*function, one.clone()))
            .collect()
    }

    /// How many calls there were, and which was the longest.
    pub(crate) fn describe(&self) -> String {
        let calls: u64 = self.0.values().map(|one| one.calls).sum();
        match self.0.iter().max_by_key(|(_, one)| one.held) {
            Some((function, one)) => format!(
                "{calls:6} calls, the longest: {function}, {:.1} ms",
                millis(one.held)
            ),
            None => "no calls".to_owned(),
        }
    }

    pub(crate) fn add(&mut self, other: &CallTimes) {
        for (function, one) in &other.0 {
            self.merge(function, one);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &Longest)> {
        self.0.iter().map(|(function, one)| (*function, one))
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

/// A time to print.
pub(crate) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_call_keeps_its_place() {
        let ms = Duration::from_millis;
        let mut times = CallTimes::default();
        for (wall, held, place) in [(1, 1, "first"), (9, 8, "second"), (20, 2, "third")] {
            let lap = Lap {
                wall: ms(wall),
                held: ms(held),
            };
            times.add_call("free", lap, place);
        }
        let slow = times.slower_than(ms(5));
        let free = slow.get("free").unwrap();
        assert_eq!((free.held, free.wall, free.calls), (ms(8), ms(20), 3));
        assert_eq!(free.place, "second");
        assert!(times.slower_than(ms(8)).is_empty());
    }
}
