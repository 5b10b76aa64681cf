//! Promised ratios, and whether they are kept.
//!
//! Only ratios between figures of one run count: absolute ones move with the machine.

use crate::case::{Case, Device};
use crate::figures::{Figure, Quantity, short};
use crate::report::Report;
use crate::side::Who;
use harness::abi::Abi;
use std::fmt;

/// What our figure is compared with.
#[derive(Clone, Copy)]
enum Against {
    /// That of somebody else, times this.
    Other(Who, f64),
    /// Our own in the same ABI in another case, times this.
    NoneHung(f64),
    /// The processor time of a check at the floor, with as many paths as fit, times this.
    FloorCheck(f64),
    /// A number.
    Limit(f64),
}

struct Target {
    checker: &'static str,
    device: Device,
    hung: u32,
    paths: Option<usize>,
    quantity: Quantity,
    abi: Abi,
    against: Against,
}

/// The outcome of one target.
pub(crate) struct Outcome {
    pub(crate) what: String,
    pub(crate) promise: String,
    pub(crate) measured: String,
    /// What the same ratio is at the floor, where that has such a figure: less is not to be had.
    pub(crate) floor: String,
    /// `None` when one of the figures has not been measured.
    pub(crate) kept: Option<bool>,
    /// The floor itself does not keep the promise.
    pub(crate) out_of_reach: bool,
}

const LOOP: Device = Device::Loop;
const INSTANT: Device = Device::Scsi { micros: 0 };
const MANY: Option<usize> = Some(4096);

/// `None` for the number of paths stands for the one case that there is. The limit of the system calls
/// leaves room for buffers that are mapped now and then.
#[rustfmt::skip]
fn all() -> Vec<Target> {
    use Against::{FloorCheck, Limit, NoneHung, Other};
    use Quantity as Q;
    let c = |abi, factor| Other(Who::C(abi), factor);
    let floor = |factor| Other(Who::Floor, factor);
    let target = |checker, device, hung, paths, quantity, abi, against| Target {
        checker, device, hung, paths, quantity, abi, against,
    };
    let slow = Device::Scsi { micros: 200 };
    vec![
        target("directio", LOOP, 0, MANY, Q::Processor, Abi::V0_11, floor(1.15)),
        target("directio", LOOP, 0, MANY, Q::Processor, Abi::V0_15, floor(1.15)),
        target("directio", LOOP, 0, MANY, Q::Processor, Abi::V0_11, c(Abi::V0_11, 0.6)),
        target("directio", LOOP, 0, MANY, Q::Processor, Abi::V0_15, c(Abi::V0_15, 0.6)),
        target("directio", LOOP, 0, MANY, Q::Processor, Abi::V0_7_9, c(Abi::V0_7_9, 1.0)),
        target("directio", LOOP, 0, None, Q::Syscalls, Abi::V0_11, Limit(1.04)),
        target("directio", LOOP, 0, None, Q::Syscalls, Abi::V0_15, Limit(1.04)),
        target("directio", LOOP, 0, MANY, Q::Round, Abi::V0_11, floor(1.2)),
        target("directio", LOOP, 0, MANY, Q::Round, Abi::V0_15, floor(1.2)),
        target("directio", LOOP, 0, MANY, Q::Round, Abi::V0_7_9, c(Abi::V0_7_9, 1.0)),
        target("directio", LOOP, 0, None, Q::HungLocked, Abi::V0_11, Limit(4400.0)),
        target("directio", LOOP, 0, None, Q::IdleLocked, Abi::V0_11, Limit(300.0)),
        target("directio", LOOP, 0, Some(10_000), Q::Command, Abi::V0_11, FloorCheck(2.0)),
        target("directio", LOOP, 0, Some(10_000), Q::Command, Abi::V0_11, floor(2.0)),
        target("tur", INSTANT, 0, MANY, Q::Processor, Abi::V0_11, c(Abi::V0_11, 0.2)),
        target("tur", INSTANT, 0, MANY, Q::Processor, Abi::V0_15, c(Abi::V0_11, 0.2)),
        target("tur", INSTANT, 0, MANY, Q::Processor, Abi::V0_7_9, c(Abi::V0_7_9, 1.0 / 3.0)),
        target("tur", INSTANT, 0, MANY, Q::Round, Abi::V0_11, c(Abi::V0_11, 0.25)),
        target("tur", INSTANT, 0, MANY, Q::Round, Abi::V0_15, c(Abi::V0_11, 0.25)),
        target("tur", INSTANT, 0, MANY, Q::Round, Abi::V0_7_9, c(Abi::V0_7_9, 0.5)),
        target("tur", slow, 0, MANY, Q::Round, Abi::V0_7_9, floor(1.15)),
        target("tur", slow, 0, MANY, Q::Round, Abi::V0_7_9, c(Abi::V0_7_9, 1.15 * 819.0 / 1383.0)),
        target("tur", slow, 0, MANY, Q::Round, Abi::V0_11, c(Abi::V0_11, 1.0)),
        target("tur", INSTANT, 0, MANY, Q::ThreadsCreated, Abi::V0_7_9, Limit(16.0)),
        target("tur", INSTANT, 0, MANY, Q::ThreadsCreated, Abi::V0_11, Limit(16.0)),
        target("tur", INSTANT, 10, MANY, Q::FirstHungRound, Abi::V0_7_9, c(Abi::V0_7_9, 1.0)),
        target("tur", INSTANT, 10, MANY, Q::FirstHungRound, Abi::V0_11, c(Abi::V0_11, 1.0)),
        target("tur", INSTANT, 10, MANY, Q::FirstHungRound, Abi::V0_7_9, NoneHung(1.2)),
        target("tur", INSTANT, 10, MANY, Q::FirstHungRound, Abi::V0_11, NoneHung(1.2)),
        target("tur", INSTANT, 10, MANY, Q::HungRound, Abi::V0_7_9, NoneHung(1.2)),
        target("tur", INSTANT, 10, MANY, Q::HungRound, Abi::V0_11, NoneHung(1.2)),
        target("tur", INSTANT, 0, None, Q::HungLocked, Abi::V0_7_9, c(Abi::V0_7_9, 1.0)),
        target("tur", INSTANT, 0, None, Q::HungLocked, Abi::V0_11, c(Abi::V0_11, 1.0)),
    ]
}

/// The outcomes of all targets for the checkers of the report.
pub(crate) fn outcomes(report: &Report) -> Vec<Outcome> {
    all()
        .iter()
        .filter(|target| report.has_checker(target.checker))
        .map(|target| outcome(target, report))
        .collect()
}

fn outcome(target: &Target, report: &Report) -> Outcome {
    let ours = Who::Ours(target.abi);
    let find = |hung, quantity, who| {
        let fits = |case: &Case| {
            case.checker == target.checker
                && case.device == target.device
                && case.hung == hung
                && target.paths.is_none_or(|paths| paths == case.paths)
        };
        report.find(fits, quantity, who)
    };
    let own = find(target.hung, target.quantity, ours);
    let (other, factor, name): (Option<f64>, f64, String) = match target.against {
        Against::Limit(limit) => (Some(1.0), limit, String::new()),
        Against::Other(who, factor) => (
            find(target.hung, target.quantity, who).map(|figure| figure.median),
            factor,
            format!(" × {who}"),
        ),
        Against::FloorCheck(factor) => {
            let fits = |case: &Case| {
                case.checker == target.checker
                    && case.device == target.device
                    && Some(case.paths) == MANY
            };
            let floor = report.find(fits, Quantity::Processor, Who::Floor);
            let name = " × the floor's CPU per check".to_owned();
            (floor.map(|figure| figure.median), factor, name)
        }
        Against::NoneHung(factor) => (
            find(0, Quantity::Round, ours).map(|figure: Figure| figure.median),
            factor,
            " × ours with none hung".to_owned(),
        ),
    };
    let to_other = |figure: Option<Figure>| Some(figure?.median / other?);
    let ratio = to_other(own);
    let floor = match target.against {
        Against::Other(Who::C(_), _) | Against::NoneHung(_) | Against::FloorCheck(_) => {
            to_other(find(target.hung, target.quantity, Who::Floor))
        }
        _ => None,
    };
    // What is printed as equal counts as equal.
    let keeps = |ratio| ratio <= factor * 1.005;
    let case = Case {
        checker: target.checker.to_owned(),
        device: target.device,
        hung: target.hung,
        paths: target.paths.unwrap_or_default(),
    };
    let paths = target
        .paths
        .map_or(String::new(), |paths| format!(", {paths}"));
    Outcome {
        what: format!(
            "{}{paths}{}: {} ({:?})",
            target.checker,
            case.condition(),
            target.quantity,
            target.abi
        ),
        promise: format!("≤ {}{name}", short(factor)),
        measured: ratio.map_or("not measured".to_owned(), short),
        floor: floor.map_or(String::new(), short),
        kept: ratio.map(keeps),
        out_of_reach: floor.is_some_and(|floor| !keeps(floor)),
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kept {
            Some(true) => "met",
            Some(false) if self.out_of_reach => "NOT MET, nor by the floor",
            Some(false) => "NOT MET",
            None => "not run",
        })
    }
}
