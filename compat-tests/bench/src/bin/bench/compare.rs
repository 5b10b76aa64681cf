// SPDX-License-Identifier: LGPL-2.0-or-later

//! Two runs: which promises held before and do not hold now.

#![forbid(unsafe_code)]

use crate::figure::short;
use crate::results::Results;
use crate::targets::{Outcome, Verdict, outcomes};
use harness::Result;
use std::collections::BTreeMap;

/// Prints the promises whose verdict changed; how many were met before and are not now.
pub(crate) fn print(old: &Results, new: &Results) -> Result<usize> {
    let mut before: BTreeMap<String, Outcome> = outcomes(old)?
        .into_iter()
        .map(|outcome| (outcome.key(), outcome))
        .collect();
    let (mut broken, mut gained) = (0, 0);
    let line = |word: &str, key: &str, old: Option<f64>, new: &Outcome| {
        let number = |ratio: Option<f64>| ratio.map_or("–".to_owned(), short);
        println!(
            "{word:<7} {key}: {} before, {} now ({})",
            number(old),
            number(new.ratio),
            new.verdict
        );
    };
    for now in outcomes(new)? {
        let key = now.key();
        let then = before.remove(&key);
        let ratio = then.as_ref().and_then(|then| then.ratio);
        let then = then.map_or(Verdict::NotMeasured, |then| then.verdict);
        match (then == Verdict::Met, now.verdict == Verdict::Met) {
            (true, false) => {
                broken += 1;
                line("BROKEN", &key, ratio, &now);
            }
            (false, true) => {
                gained += 1;
                line("gained", &key, ratio, &now);
            }
            _ => {}
        }
    }
    for (key, then) in before {
        if then.verdict == Verdict::Met {
            broken += 1;
            println!("BROKEN  {key}: met before, not measured now");
        }
    }
    println!("{broken} promises met before and not now, {gained} met now and not before");
    Ok(broken)
}
