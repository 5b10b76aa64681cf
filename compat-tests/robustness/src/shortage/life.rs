//! One case: a path is made, checked and freed while things are refused, and then has to be up.

use super::faults::{self, Resource};
use super::world::{Behind, Common, LIMIT, PENDING, Path, UNCHECKED, UP, broken};
use bench::{threads, usage};
use harness::{Result, Trouble};
use std::time::{Duration, Instant};

/// How long a path may take to be well again, and a process to be rid of what it has used. Far less
/// than the time limit of a check.
const SOON: Duration = Duration::from_secs(12);

/// How often a path is checked while things are refused.
const ROUNDS: u32 = 3;

/// The device behind the path, and how the host checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// A device that is up.
    Up,
    /// Likewise, and the host waits for its verdict.
    Sync,
    /// A device that hangs.
    Hung,
    /// A read that is in flight and hangs.
    InFlight,
    /// A device that is up, with another path in the process that hangs.
    Beside,
}

impl Setting {
    pub(super) const ALL: [Setting; 5] = [
        Setting::Up,
        Setting::Sync,
        Setting::Hung,
        Setting::InFlight,
        Setting::Beside,
    ];

    fn behind(self) -> Behind {
        match self {
            Setting::Up | Setting::Sync => Behind::Up,
            Setting::Hung => Behind::Hangs,
            Setting::InFlight => Behind::InFlight,
            Setting::Beside => Behind::Deferred,
        }
    }
}

/// Until when things are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// Until the checks are over: this checker has to become well.
    Checks,
    /// Until the path is freed and the plugin reset: the path's next checker has to be well.
    Life,
}

/// What is refused, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) setting: Setting,
    pub(super) resources: &'static [Resource],
    /// The number of the first request that is refused.
    pub(super) at: u64,
    /// Whether those after it are refused, too.
    pub(super) and_later: bool,
    pub(super) span: Span,
}

/// The number of a request that no life makes: nothing is refused.
pub(super) const NEVER: u64 = u64::MAX;

/// What it came to. The order is that of how much it cost the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Outcome {
    /// As if nothing had been refused.
    Unharmed,
    /// At least one check said UNCHECKED.
    Unchecked,
    /// `libcheck_init` failed.
    NoInit,
}

/// What a process uses that outlives a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Used {
    threads: u64,
    descriptors: u64,
    contexts: u64,
}

impl Used {
    fn now() -> Used {
        Used {
            threads: threads::alive(),
            descriptors: usage::descriptors(),
            contexts: usage::aio_contexts(),
        }
    }
}

/// Plays a case. `told` is called with the number of requests once nothing more will be refused.
pub(super) fn play(common: &Common, case: Case, told: impl FnOnce(u64)) -> Result<Outcome> {
    faults::this_is_the_host();
    let before = Used::now();
    let outcome = live(common, case, told)?;
    settle(common, before)?;
    Ok(outcome)
}

fn live(common: &Common, case: Case, told: impl FnOnce(u64)) -> Result<Outcome> {
    let mut neighbour = None;
    if case.setting == Setting::Beside {
        let mut path = Path::new(common, Behind::Hangs, 1)?;
        if !path.init(LIMIT)? || path.check()? != PENDING {
            return Err(broken(
                "the neighbour, from whom nothing is kept, is not pending",
            ));
        }
        path.until_it_hangs()?;
        neighbour = Some(path);
    }
    let mut path = Path::new(common, case.setting.behind(), 2)?;
    faults::set_sync(case.setting == Setting::Sync);
    faults::refuse(case.resources, case.at, case.and_later);
    let outcome = if path.init(LIMIT)? {
        checks(&mut path, case)?
    } else {
        Outcome::NoInit
    };
    if case.span == Span::Life {
        path.free()?;
        faults::inside(|| common.plugin.reset());
    }
    faults::relent();
    told(faults::requests());
    path.heal()?;
    if !path.is_alive() && !path.init(LIMIT)? {
        return Err(broken("init fails when nothing is refused any more"));
    }
    recover(&mut path)?;
    path.free()?;
    if let Some(mut neighbour) = neighbour {
        neighbour.heal()?;
        recover(&mut neighbour)?;
        neighbour.free()?;
    }
    Ok(outcome)
}

/// Checks the path while things are refused.
fn checks(path: &mut Path<'_>, case: Case) -> Result<Outcome> {
    let mut outcome = Outcome::Unharmed;
    // A verdict that is on its way comes soon; one that cannot come while things are refused is not
    // worth waiting for.
    let patience = match (path.hangs(), case.and_later) {
        _ if case.at == NEVER => SOON,
        (true, _) => Duration::from_millis(2),
        (false, true) => Duration::from_millis(4),
        (false, false) => Duration::from_millis(100),
    };
    for _ in 0..ROUNDS {
        let state = if path.hangs() && case.at == NEVER {
            let state = path.check()?;
            path.until_it_hangs()?;
            state
        } else {
            path.verdict(patience)?
        };
        match state {
            PENDING => {}
            UP if !path.hangs() => {}
            UNCHECKED => outcome = Outcome::Unchecked,
            state => {
                let device = if path.hangs() { "hangs" } else { "is up" };
                return Err(Trouble::Broken(format!(
                    "verdict {state} of a path whose device {device}"
                )));
            }
        }
    }
    Ok(outcome)
}

/// Checks the path until it is up.
fn recover(path: &mut Path<'_>) -> Result<()> {
    let begin = Instant::now();
    loop {
        match path.verdict(SOON.saturating_sub(begin.elapsed()))? {
            UP => return Ok(()),
            PENDING | UNCHECKED => {}
            state => {
                return Err(Trouble::Broken(format!(
                    "verdict {state} of a path whose device answers"
                )));
            }
        }
        if begin.elapsed() > SOON {
            return Err(Trouble::Broken(format!(
                "not up {} s after the last refusal",
                SOON.as_secs()
            )));
        }
        path.feed();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until nothing is left behind.
fn settle(common: &Common, before: Used) -> Result<()> {
    let begin = Instant::now();
    loop {
        faults::inside(|| common.plugin.reset());
        let now = Used::now();
        if now == before {
            return Ok(());
        }
        if begin.elapsed() > SOON {
            return Err(Trouble::Broken(format!(
                "left behind: {before:?} → {now:?}"
            )));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
