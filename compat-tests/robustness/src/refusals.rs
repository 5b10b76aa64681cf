// SPDX-License-Identifier: LGPL-2.0-or-later

//! The role `shortage`: memory, threads, descriptors, AIO contexts and AIO requests are refused, one
//! request or all from one on, at every place in turn.
//!
//! Each case is one path in a process of its own, forked from one that has only loaded the plugin, so that
//! a case that crashes or hangs is one failed case.

#![forbid(unsafe_code)]

use crate::case::{self, NEVER};
use crate::child::Child;
use crate::path::{Host, run_role};
use crate::protocol::{
    Case, CaseEnd, Effect, Refused, Repeat, Setting, ShortageMessage, ShortageOrder, Span,
};
use harness::abi::Abi;
use harness::ipc::Channel;
use harness::{Doing, Result, Trouble};
use nix::fcntl::OFlag;
use nix::sys::wait::WaitStatus;
use nix::unistd::pipe2;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::ExitCode;
use std::time::Duration;

/// A case that takes longer counts as hung.
const WATCHDOG: Duration = Duration::from_secs(40);

/// No case makes more requests for one resource.
const MOST: u64 = 400;

/// The main function of the role.
pub fn main(abi: Abi) -> ExitCode {
    run_role("shortage", || serve(abi))
}

fn serve(abi: Abi) -> Result<()> {
    let mut channel = Channel::of_host()?;
    let order: ShortageOrder = channel
        .receive()
        .doing("reading an order")?
        .ok_or_else(|| Trouble::Broken("no order".to_owned()))?;
    let long = order.long;
    let host = Host::new(
        abi,
        &order.plugin,
        order.file,
        order.held_file,
        Some(channel),
    )?;
    for setting in Setting::EACH {
        if setting == Setting::InFlight && host.held_file.is_none() {
            continue;
        }
        for refused in Refused::EACH {
            for (repeat, span) in [
                (Repeat::Once, Span::Checks),
                (Repeat::Once, Span::UntilReset),
                (Repeat::FromThere, Span::Checks),
                (Repeat::FromThere, Span::UntilReset),
            ] {
                // One refusal is over before the reset.
                let short = (repeat == Repeat::Once) == (span == Span::Checks);
                if long || short {
                    let case = |first| Case {
                        refused,
                        setting,
                        first,
                        repeat,
                        span,
                    };
                    at_every_place(&host, case)?;
                }
            }
        }
    }
    host.driver()?.tell(&ShortageMessage::End)
}

/// Refuses every request in turn.
fn at_every_place(host: &Host, case: impl Fn(u64) -> Case) -> Result<()> {
    let granted = run(host, case(NEVER))?;
    // A case without a refusal counts only when it fails.
    if matches!(granted.end, CaseEnd::Failed(_)) {
        let message = ShortageMessage::Case(case(0), granted.end);
        host.driver()?.tell(&message)?;
        if granted.hung {
            return Ok(());
        }
    }
    for first in 1..=granted.requests.min(MOST) {
        let run = run(host, case(first))?;
        let message = ShortageMessage::Case(case(first), run.end);
        host.driver()?.tell(&message)?;
        if run.hung {
            break;
        }
    }
    Ok(())
}

/// How the process of a case ended.
struct Run {
    /// How many requests there were for what was refused.
    requests: u64,
    end: CaseEnd,
    hung: bool,
}

/// What the process of a case reports.
#[derive(Serialize, Deserialize)]
enum Report {
    /// Nothing is refused any more. How many requests there were.
    Requests(u64),
    End(Result<Effect>),
}

/// Runs a case in a process of its own.
fn run(host: &Host, case: Case) -> Result<Run> {
    if case.setting == Setting::InFlight {
        host.driver()?.hold()?;
    }
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).doing("pipe")?;
    let (reader, mut writer) = (File::from(reader), File::from(writer));
    let child = Child::start(|| {
        let mut report = |report: &Report| -> Result<()> {
            let text = serde_json::to_string(report).map_err(std::io::Error::from)?;
            writeln!(writer, "{text}").doing("reporting")
        };
        let end = case::run(host, case, |requests| report(&Report::Requests(requests)));
        i32::from(report(&Report::End(end)).is_err())
    })?;
    let mut run = Run {
        requests: 0,
        end: CaseEnd::Failed("no report".to_owned()),
        hung: false,
    };
    let status = child.wait(WATCHDOG)?;
    if status.is_none() {
        run.hung = true;
        // It ends only when its reads have completed.
        child.kill(|| drop(host.driver().and_then(|mut driver| driver.release())))?;
    }
    // The reports end when nothing can write them any more.
    drop(writer);
    for line in BufReader::new(reader).lines() {
        let line = line.doing("reading a report")?;
        match serde_json::from_str(&line).map_err(std::io::Error::from)? {
            Report::Requests(requests) => run.requests = requests,
            Report::End(Ok(effect)) => run.end = CaseEnd::Passed(effect),
            Report::End(Err(trouble)) => run.end = CaseEnd::Failed(trouble.to_string()),
        }
    }
    match status {
        Some(WaitStatus::Exited(_, 0)) => {}
        Some(status) => run.end = CaseEnd::Failed(format!("{status:?}")),
        None => run.end = CaseEnd::Failed(format!("hung for {WATCHDOG:?} and was ended")),
    }
    if matches!(run.end, CaseEnd::Failed(_)) && case.setting == Setting::InFlight {
        host.driver()?.release()?;
    }
    Ok(run)
}
