// SPDX-License-Identifier: LGPL-2.0-or-later

//! The process ends while everything hangs.

#![forbid(unsafe_code)]

use crate::aio_quota;
use crate::call_times::{LIMIT, millis};
use crate::crowds::{few, start_and_hang};
use crate::latency::LatencyCheck;
use crate::model::Behaviour;
use crate::options::Subject;
use crate::report::Report;
use crate::test_host::{Kind, TestHost};
use bench::protocol::Lap;
use harness::{Result, Trouble};
use std::time::Duration;

/// Only the clock tells how long a process takes to leave user space, and on a busy machine it tells the
/// shortest of a few runs.
const RUNS: u32 = 10;

/// How long the kernel may take to end a process whose requests have completed.
const SOON: Duration = Duration::from_secs(10);

/// Tests one of our plugins.
pub(crate) fn run(subject: &Subject, report: &mut Report) {
    let mut spans = Vec::new();
    let mut result = Ok(String::new());
    for _ in 0..RUNS {
        result = once(subject, &mut spans);
        let quick = spans.last().is_some_and(|span| *span <= LIMIT);
        if result.is_err() || quick {
            break;
        }
        result = Err(Trouble::Broken(format!("took {spans:?}")));
    }
    if let (Ok(found), Some(span)) = (&mut result, spans.last()) {
        *found = format!("{:.1} ms, {found}", millis(*span));
        let mut check = LatencyCheck::default();
        let lap = Lap {
            wall: *span,
            held: *span,
        };
        check.times.add_call("exit", lap, &subject.name());
        check.record(report, &subject.group());
    }
    report.end(&format!("exits: {}", subject.name()), result);
}

/// One process. Until its asynchronous reads have ended the kernel keeps it.
fn once(subject: &Subject, spans: &mut Vec<Duration>) -> Result<String> {
    let mut host = TestHost::new(subject, &few())?;
    host.run_at_real_time();
    let before = aio_quota::used()?;
    start_and_hang(&mut host)?;
    spans.push(host.exit()?);
    let mut found = "and is gone".to_owned();
    if host.kind() == Kind::Aio {
        if !host.ends_within(Duration::from_millis(30))? {
            found = "the kernel keeps it until the reads end".to_owned();
        }
        host.set_all(Behaviour::Answers)?;
        found = format!("{found}, {}", aio_quota::returns_to(before)?);
    }
    match host.ends_within(SOON)? {
        true => Ok(found),
        false => Err(Trouble::Broken("the process stays".to_owned())),
    }
}
