//! Rounds, taken in turns: whatever else the machine does hits everybody alike.

use crate::case::{Case, Device};
use crate::figures::Quantity;
use crate::options::Options;
use crate::report::Report;
use crate::side::{Side, Who};
use bench::driver::Host;
use harness::Result;
use harness::devices::Lab;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many loop devices the paths share: enough that 4096 reads find room in their queues.
const LOOPS: usize = 32;

/// A sample of few paths is the mean of several rounds with about so many checks.
const CHECKS_PER_SAMPLE: usize = 256;

/// As many ticks take long, being mostly sleep.
const CHECKS_PER_TICK_SAMPLE: usize = 32;

/// Where turns are quick there are more of them than was asked for, until so much time has passed: the
/// figures of a virtual machine are noisy.
const ENOUGH: Duration = Duration::from_secs(20);

/// No more turns than this.
const MOST_TURNS: usize = 41;

type Samples = BTreeMap<(Who, Quantity), Vec<f64>>;

/// Measures all sides in one case.
pub(crate) fn measure(
    options: &Options,
    case: &Case,
    sides: &[Side],
    report: &mut Report,
) -> Result<()> {
    let mut lab = Lab::default();
    let files = files(&mut lab, case)?;
    let mut hosts = Vec::new();
    for side in sides {
        let mut host = side.start(case, &files, &[])?;
        for _ in 0..2 {
            host.tell("round 1")?;
        }
        hosts.push((side.who, host));
    }
    let mut samples = Samples::new();
    let begin = Instant::now();
    let mut turns = 0;
    while turns < options.repeats || (begin.elapsed() < ENOUGH && turns < MOST_TURNS) {
        turns += 1;
        for (who, host) in &mut hosts {
            if case.hung > 0 && *who == Who::Floor {
                turn_of_threads(case, host, &mut samples)?;
            } else if case.hung > 0 {
                turn_with_hung_paths(case, *who, host, &mut samples)?;
            } else {
                turn(case, *who, host, &mut samples)?;
            }
        }
    }
    for (who, mut host) in hosts {
        let plain = case.device == Device::of(&case.checker) && case.hung == 0;
        if plain && matches!(who, Who::C(_) | Who::Ours(_)) {
            let threads = host.tell("threads")?;
            let mut once = |quantity, value: u64| {
                samples.insert((who, quantity), vec![value as f64]);
            };
            once(Quantity::ThreadsCreated, threads.get("created"));
            once(Quantity::ThreadsMost, threads.get("most"));
        }
        host.dismiss()?;
    }
    for ((who, quantity), samples) in samples {
        report.enter(case, quantity, who, &samples);
    }
    Ok(())
}

/// One turn of one side.
fn turn(case: &Case, who: Who, host: &mut Host, samples: &mut Samples) -> Result<()> {
    let rounds = (CHECKS_PER_SAMPLE / case.paths).max(1);
    let answer = host.tell(&format!("round {rounds}"))?;
    let wall = answer.get("wall") as f64 / rounds as f64;
    enter(samples, who, Quantity::Round, wall / 1e6);
    if case.device == Device::of(&case.checker) {
        let ticks = (CHECKS_PER_TICK_SAMPLE / case.paths).max(1);
        let answer = host.tell(&format!("tick {ticks}"))?;
        let each = answer.get("processor") as f64 / (ticks * case.paths) as f64;
        enter(samples, who, Quantity::Processor, each / 1e3);
    }
    Ok(())
}

/// Paths begin to hang, and go on hanging.
fn turn_with_hung_paths(
    case: &Case,
    who: Who,
    host: &mut Host,
    samples: &mut Samples,
) -> Result<()> {
    host.tell("hang 0")?;
    host.tell("round 1")?;
    // Sends the threads home that hung the last time.
    host.tell("reset")?;
    host.tell(&format!("hang {}", case.hung))?;
    for quantity in [Quantity::FirstHungRound, Quantity::HungRound] {
        let wall = host.tell("round 1")?.get("wall") as f64;
        enter(samples, who, quantity, wall / 1e6);
    }
    Ok(())
}

/// What is needed besides the checks of the healthy paths: a thread for each of the hung ones.
fn turn_of_threads(case: &Case, host: &mut Host, samples: &mut Samples) -> Result<()> {
    let crowd = case.paths * case.hung as usize / 100;
    let wall = host.tell(&format!("crowd {crowd}"))?.get("wall") as f64;
    enter(samples, Who::Floor, Quantity::FirstHungRound, wall / 1e6);
    Ok(())
}

fn enter(samples: &mut Samples, who: Who, quantity: Quantity, value: f64) {
    samples.entry((who, quantity)).or_default().push(value);
}

/// The files behind the paths of a case.
pub(crate) fn files(lab: &mut Lab, case: &Case) -> Result<String> {
    match case.device {
        Device::Scsi { .. } => Ok("stub".to_owned()),
        Device::Loop => {
            let mut files = Vec::new();
            for _ in 0..LOOPS {
                files.extend(ask(lab, "loop 1048576 512 0 rw")?);
            }
            Ok(files.join(" "))
        }
    }
}

/// Asks the lab for something.
pub(crate) fn ask(lab: &mut Lab, request: &str) -> Result<Vec<String>> {
    let words: Vec<String> = request.split(' ').map(str::to_owned).collect();
    lab.serve(&words)
}
