// SPDX-License-Identifier: LGPL-2.0-or-later

//! What is promised, and whether results keep it.
//!
//! Only ratios between numbers of one run count, and numbers that no machine changes: times move with
//! the machine.

#![forbid(unsafe_code)]

use crate::case::Case;
use crate::contender::{Contender, parse_abi};
use crate::figure::{Figure, short};
use crate::results::{Results, number};
use harness::abi::Abi;
use harness::{Result, Trouble};
use std::fmt;

const FILE: &str = include_str!("../../../targets.csv");
const COLUMNS: &str = "checker,paths,device,hung %,figure,abi,factor,of,why";

/// What our number is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reference {
    /// The number of a contender in the same case.
    Contender(Contender),
    /// The processor time of a check at the lower bound, with 4096 paths.
    BareCheck,
    /// Our round of the same case in which no path hangs.
    NoneHung,
    /// One.
    Unit,
}

/// One promise.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) case: Case,
    pub(crate) figure: Figure,
    pub(crate) abi: Abi,
    /// Our number is at most this many times the reference.
    factor: f64,
    reference: Reference,
    /// Why it is missed, if that is known.
    pub(crate) why: String,
}

/// How a promise ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// The lower bound does not keep the promise either.
    OutOfReach,
    /// A number is missing.
    NotMeasured,
}

/// One promise with the numbers of one run.
pub(crate) struct Outcome {
    pub(crate) target: Target,
    pub(crate) ours: Option<f64>,
    pub(crate) upstream: Option<f64>,
    pub(crate) lower_bound: Option<f64>,
    /// Our number divided by the reference.
    pub(crate) ratio: Option<f64>,
    pub(crate) verdict: Verdict,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::OutOfReach => "MISSED, lower bound too",
            Verdict::NotMeasured => "not measured",
        })
    }
}

impl Verdict {
    pub(crate) fn is_missed(self) -> bool {
        matches!(self, Verdict::Missed | Verdict::OutOfReach)
    }
}

impl Target {
    fn parse(line: &str) -> std::result::Result<Target, String> {
        let fields: Vec<&str> = line.splitn(9, ',').collect();
        let [checker, paths, device, hung, figure, abi, factor, of, why] = *fields.as_slice()
        else {
            return Err("a line has nine fields".to_owned());
        };
        Ok(Target {
            case: Case {
                checker: checker.to_owned(),
                paths: number(paths)?,
                device: device.parse()?,
                hung: number(hung)?,
            },
            figure: figure.parse()?,
            abi: parse_abi(abi)?,
            factor: number(factor)?,
            reference: match of {
                "" => Reference::Unit,
                "none hung" => Reference::NoneHung,
                "lower bound of a check" => Reference::BareCheck,
                contender => Reference::Contender(contender.parse()?),
            },
            why: why.to_owned(),
        })
    }

    /// The checker, the conditions and the figure.
    pub(crate) fn subject(&self) -> String {
        format!("{}: {}", self.case, self.figure)
    }

    /// The limit, as in "≤ 1.2 × lower bound".
    pub(crate) fn promise(&self) -> String {
        let of = match self.reference {
            Reference::Unit => String::new(),
            Reference::NoneHung => " × ours, none hung".to_owned(),
            Reference::BareCheck => " × lower bound of a check".to_owned(),
            Reference::Contender(Contender::Upstream(abi)) if abi == self.abi => {
                " × upstream".to_owned()
            }
            Reference::Contender(contender) => format!(" × {contender}"),
        };
        format!("≤ {}{of}", short(self.factor))
    }

    fn outcome(self, results: &Results) -> Outcome {
        let get = |contender| results.get(&self.case, &self.figure, contender);
        let ours = get(Contender::Ours(self.abi));
        let lower_bound = get(Contender::LowerBound);
        let upstream = match self.reference {
            Reference::Contender(upstream @ Contender::Upstream(_)) => upstream,
            _ => Contender::Upstream(self.abi),
        };
        let reference = match self.reference {
            Reference::Unit => Some(1.0),
            Reference::Contender(contender) => get(contender),
            Reference::BareCheck => {
                let case = Case {
                    paths: 4096,
                    ..self.case.clone()
                };
                results.get(&case, &Figure::Processor, Contender::LowerBound)
            }
            Reference::NoneHung => {
                let case = Case {
                    hung: 0,
                    ..self.case.clone()
                };
                results.get(&case, &Figure::Round, Contender::Ours(self.abi))
            }
        };
        let ratio = |number: Option<f64>| Some(number? / reference?);
        // What is printed as equal counts as equal.
        let keeps = |ratio: f64| ratio <= self.factor * 1.005;
        let bounded = self.reference != Reference::Contender(Contender::LowerBound);
        let verdict = match (ratio(ours).map(keeps), ratio(lower_bound).map(keeps)) {
            (None, _) => Verdict::NotMeasured,
            (Some(true), _) => Verdict::Met,
            (Some(false), Some(false)) if bounded => Verdict::OutOfReach,
            (Some(false), _) => Verdict::Missed,
        };
        Outcome {
            ours,
            lower_bound,
            upstream: get(upstream),
            ratio: ratio(ours),
            verdict,
            target: self,
        }
    }
}

impl Outcome {
    /// The same promise in other results.
    pub(crate) fn key(&self) -> String {
        let (subject, promise) = (self.target.subject(), self.target.promise());
        format!("{subject}, {}, {promise}", self.target.abi)
    }
}

/// All promises.
///
/// # Errors
/// When a line of the file cannot be read.
fn all() -> Result<Vec<Target>> {
    let lines = FILE.lines();
    let lines = lines.filter(|line| !line.starts_with('#') && *line != COLUMNS);
    lines
        .map(|line| {
            Target::parse(line)
                .map_err(|why| Trouble::Broken(format!("targets.csv: {line:?}: {why}")))
        })
        .collect()
}

/// The outcomes of all promises for the checkers that were measured.
pub(crate) fn outcomes(results: &Results) -> Result<Vec<Outcome>> {
    let targets = all()?.into_iter();
    let measured = targets.filter(|target| results.has_checker(&target.case.checker));
    Ok(measured.map(|target| target.outcome(results)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(ours: f64, upstream: f64, bound: f64) -> Results {
        let mut results = Results::default();
        let case = Case::new("directio", 4096);
        for (contender, value) in [
            (Contender::Ours(Abi::V0_11), ours),
            (Contender::Upstream(Abi::V0_11), upstream),
            (Contender::LowerBound, bound),
        ] {
            results.add(&case, Figure::Processor, contender, &[value]);
        }
        results
    }

    fn verdict(results: &Results, promise: &str) -> Verdict {
        let outcomes = outcomes(results).unwrap();
        let found = outcomes.iter().find(|outcome| {
            outcome.target.abi == Abi::V0_11
                && outcome.target.figure == Figure::Processor
                && outcome.target.promise() == promise
        });
        found.unwrap().verdict
    }

    #[test]
    fn every_promise_is_read() {
        assert!(all().unwrap().len() >= 38);
    }

    #[test]
    fn verdicts() {
        let upstream = "≤ 0.60 × upstream";
        assert_eq!(verdict(&results(3.0, 5.0, 2.0), upstream), Verdict::Met);
        assert_eq!(verdict(&results(4.0, 5.0, 2.0), upstream), Verdict::Missed);
        let out_of_reach = results(4.0, 5.0, 3.5);
        assert_eq!(verdict(&out_of_reach, upstream), Verdict::OutOfReach);
        let bound = "≤ 1.15 × lower bound";
        assert_eq!(verdict(&results(2.3, 5.0, 2.0), bound), Verdict::Met);
        assert_eq!(verdict(&results(2.4, 5.0, 2.0), bound), Verdict::Missed);
        let mut nothing = Results::default();
        let case = Case::new("directio", 1);
        nothing.add(&case, Figure::Round, Contender::LowerBound, &[1.0]);
        assert_eq!(verdict(&nothing, bound), Verdict::NotMeasured);
    }
}
