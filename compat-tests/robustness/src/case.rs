// SPDX-License-Identifier: LGPL-2.0-or-later

//! One case: a path is made, checked and freed while requests are refused, and then has to be up.

#![forbid(unsafe_code)]

use crate::path::{Host, LIMIT, Path, SOON, Target, broken};
use crate::protocol::{Case, Effect, Refused, Repeat, Setting, Span};
use bench::{threads, usage};
use harness::interpose::faults::{self, Resource};
use harness::state::State;
use harness::{Result, Trouble};
use std::time::{Duration, Instant};

/// How often a path is checked while requests are refused.
const ROUNDS: u32 = 3;

/// The number of a request that no case makes: nothing is refused.
pub(crate) const NEVER: u64 = u64::MAX;

fn target(setting: Setting) -> Target {
    match setting {
        Setting::Up | Setting::Sync => Target::Up,
        Setting::Hung => Target::Hangs,
        Setting::InFlight => Target::InFlight,
        Setting::Beside => Target::Deferred,
    }
}

fn resources(refused: Refused) -> &'static [Resource] {
    match refused {
        Refused::Memory => &[Resource::Memory],
        Refused::Threads => &[Resource::Threads],
        Refused::Descriptors => &[Resource::Descriptors],
        Refused::Contexts => &[Resource::Contexts],
        Refused::Requests => &[Resource::Requests],
        Refused::All => &Resource::ALL,
    }
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

/// Runs a case. `requests` is called with the number of requests once nothing more will be refused.
pub(crate) fn run(
    host: &Host,
    case: Case,
    requests: impl FnOnce(u64) -> Result<()>,
) -> Result<Effect> {
    faults::this_is_the_host();
    let before = Used::now();
    let effect = refuse_and_recover(host, case, requests)?;
    let begin = Instant::now();
    loop {
        host.reset();
        let now = Used::now();
        if now == before {
            return Ok(effect);
        }
        if begin.elapsed() > SOON {
            return Err(Trouble::Broken(format!(
                "left behind: {before:?} → {now:?}"
            )));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn refuse_and_recover(
    host: &Host,
    case: Case,
    requests: impl FnOnce(u64) -> Result<()>,
) -> Result<Effect> {
    let neighbour = match case.setting {
        Setting::Beside => Some(Path::hung(host)?),
        _ => None,
    };
    let mut path = Path::new(host, target(case.setting))?;
    harness::host::set_sync(case.setting == Setting::Sync);
    let and_later = case.repeat == Repeat::FromThere;
    faults::refuse(resources(case.refused), case.first, and_later);
    let effect = match path.init(LIMIT)? {
        true => checks(&mut path, case)?,
        false => Effect::InitFailed,
    };
    if case.span == Span::UntilReset {
        path.free()?;
        host.reset();
    }
    faults::stop_refusing();
    requests(faults::requests())?;
    path.heal()?;
    if !path.has_checker() && !path.init(LIMIT)? {
        return Err(broken("init fails when nothing is refused any more"));
    }
    recover(&mut path)?;
    path.free()?;
    if let Some(mut neighbour) = neighbour {
        neighbour.heal()?;
        recover(&mut neighbour)?;
        neighbour.free()?;
    }
    Ok(effect)
}

/// Checks the path while requests are refused.
fn checks(path: &mut Path<'_>, case: Case) -> Result<Effect> {
    let mut effect = Effect::None;
    // A verdict that can come comes soon; one that cannot come while requests are refused is not worth
    // waiting for.
    let patience = match (path.hangs(), case.repeat) {
        _ if case.first == NEVER => SOON,
        (true, _) => Duration::from_millis(2),
        (false, Repeat::FromThere) => Duration::from_millis(4),
        (false, Repeat::Once) => Duration::from_millis(100),
    };
    for _ in 0..ROUNDS {
        let state = if path.hangs() && case.first == NEVER {
            let state = path.check()?;
            path.until_it_hangs()?;
            state
        } else {
            path.verdict(patience)?
        };
        match state {
            State::PENDING => {}
            State::UP if !path.hangs() => {}
            State::UNCHECKED => effect = Effect::Unchecked,
            state => {
                let device = if path.hangs() { "hangs" } else { "is up" };
                return Err(Trouble::Broken(format!("{state}, but the device {device}")));
            }
        }
    }
    Ok(effect)
}

/// Checks the path until it is up.
fn recover(path: &mut Path<'_>) -> Result<()> {
    let begin = Instant::now();
    loop {
        match path.verdict(SOON.saturating_sub(begin.elapsed()))? {
            State::UP => return Ok(()),
            State::PENDING | State::UNCHECKED => {}
            state => {
                return Err(Trouble::Broken(format!("{state}, but the device answers")));
            }
        }
        if begin.elapsed() > SOON {
            return Err(Trouble::Broken(format!(
                "not up {SOON:?} after the last refusal"
            )));
        }
        path.feed();
        std::thread::sleep(Duration::from_millis(1));
    }
}
