// SPDX-License-Identifier: LGPL-2.0-or-later

//! The process that touches the devices.

use crate::check::{self, Stage};
use crate::outcome::Outcome;
use crate::protocol::{self, Event, Report};
use crate::work_queue::{Task, WorkQueue};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The number of threads at first: more than one, so that a slow device does not delay the others, and few
/// enough not to compete. When all of them hang, as many are added, then twice as many each time.
const THREADS: usize = 4;

/// The interval of reports, and how long all threads may hang before more are started.
const INTERVAL: Duration = Duration::from_millis(5);

/// Reads the request from standard input, checks the devices, and reports on standard output. Returns when
/// all jobs have ended, or at the end of standard input, which means that the parent has ended.
pub(crate) fn run() {
    let jobs = match protocol::read_request(&mut io::stdin().lock()) {
        Ok(jobs) => jobs,
        Err(error) => {
            eprintln!("pathcheck: --worker is for the program's own use: {error}");
            return;
        }
    };
    // Without threads there are no reports, and this is the only sign that the parent has ended.
    if let Err(error) = read_without_waiting() {
        eprintln!("pathcheck: standard input: {error}");
        return;
    }
    // Each device takes a descriptor, and more than the usual 1024 may hang at a time.
    let _ = kernel_fd::raise_descriptor_limit();
    let count = jobs.len();
    let queue = Arc::new(WorkQueue::new(jobs));
    start_threads(&queue, THREADS.min(count));
    let mut more = THREADS;
    let mut returns = 0;
    loop {
        let snapshot = queue.watch(INTERVAL);
        report(&snapshot.reports);
        if snapshot.done {
            return;
        }
        if !is_wanted() {
            process::exit(0);
        }
        // Every thread may hang at a dead device.
        let all_hung = snapshot.left > 0 && snapshot.returns == returns;
        if all_hung || snapshot.overdue > INTERVAL {
            start_threads(&queue, more.min(snapshot.left.max(1)));
            more = more.saturating_mul(2);
        } else {
            more = THREADS;
        }
        returns = snapshot.returns;
    }
}

/// Makes reads from standard input return at once. Only the worker has this end of the pipe open.
fn read_without_waiting() -> io::Result<()> {
    let stdin = io::stdin().as_raw_fd();
    let flags = kernel_fd::status_flags(stdin)?;
    Ok(kernel_fd::set_status_flags(
        stdin,
        flags | libc::O_NONBLOCK,
    )?)
}

/// Whether the parent still holds its end of standard input.
fn is_wanted() -> bool {
    match io::stdin().lock().read(&mut [0]) {
        Ok(length) => length > 0,
        Err(error) => matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
        ),
    }
}

/// If the system has no thread, the jobs wait for the existing ones.
fn start_threads(queue: &Arc<WorkQueue>, count: usize) {
    for _ in 0..count {
        let queue = Arc::clone(queue);
        let _ = thread::Builder::new().spawn(move || work(&queue));
    }
}

/// Runs steps until none is left for this thread.
fn work(queue: &WorkQueue) {
    while let Some(task) = queue.take() {
        let index = match task {
            Task::Begin(index, _) | Task::Poll(index, _) => index,
        };
        let step = || match task {
            Task::Begin(_, job) => check::begin(job, &mut |event| queue.record(index, event)),
            Task::Poll(_, check) => check.poll(),
        };
        let stage = catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| {
            Stage::Ended(Outcome::Failed(
                "the checker has a fault (it panicked)".to_owned(),
            ))
        });
        match stage {
            Stage::InFlight(check) => queue.put(index, check),
            Stage::Ended(outcome) => queue.record(index, Event::Ended(outcome)),
        }
    }
}

fn report(reports: &[Report]) {
    if reports.is_empty() {
        return;
    }
    let Ok(mut line) = serde_json::to_vec(reports) else {
        return;
    };
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(&line).and_then(|()| stdout.flush());
    if written.is_err() {
        process::exit(0);
    }
}
