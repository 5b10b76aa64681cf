// SPDX-License-Identifier: LGPL-2.0-or-later

//! The process that the user started: has the worker check all devices, and keeps the time limits.

use crate::outcome::Outcome;
use crate::path::Path;
use crate::progress::Progress;
use crate::protocol::{self, Job, Report};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How often results and progress are shown while some are still to come.
const TICK: Duration = Duration::from_millis(100);

/// How long the worker may take to end once every path has an outcome. It is not waited for any longer.
const END_LIMIT: Duration = Duration::from_millis(200);

/// Where results are shown.
pub(crate) trait Display {
    /// Shows what can be shown so far.
    fn update(&mut self, paths: &[Path], progress: &mut Progress) -> io::Result<()>;
    /// Shows the rest: every path has an outcome now.
    fn finish(&mut self, paths: &[Path]) -> io::Result<()>;
}

/// Checks all paths that have no outcome yet, until each has one, and shows them.
///
/// # Errors
/// When the results cannot be shown. Whatever goes wrong with the checks is an outcome.
pub(crate) fn run(paths: &mut [Path], display: &mut dyn Display) -> io::Result<()> {
    let start = Instant::now();
    let mut progress = Progress::new(start);
    let wanted: Vec<usize> = (0..paths.len())
        .filter(|index| paths.get(*index).is_some_and(|path| path.outcome.is_none()))
        .collect();
    let jobs: Vec<&Job> = wanted
        .iter()
        .filter_map(|index| paths.get(*index).map(|path| &path.job))
        .collect();
    let mut worker = match jobs.is_empty() {
        true => None,
        false => match Worker::start(&jobs) {
            Ok(worker) => Some(worker),
            Err(error) => {
                let why = format!("cannot start the worker: {error}");
                settle(paths, &Outcome::Failed(why));
                None
            }
        },
    };
    while let Some(reports) = worker.as_ref().map(|worker| &worker.reports) {
        let (waiting, next) = expire(paths, start);
        if waiting == 0 {
            break;
        }
        if listen(reports, paths, &wanted, waiting, next).is_err() {
            let end = worker.take().and_then(Worker::end);
            let end = end.map_or_else(String::new, |status| format!(": {status}"));
            let why = format!("the worker process ended{end}");
            settle(paths, &Outcome::Failed(why));
        } else {
            display.update(paths, &mut progress)?;
        }
    }
    progress.clear();
    let shown = display.finish(paths);
    // A worker with a request in flight cannot end.
    let hangs = paths.iter().any(|path| match &path.outcome {
        Some(Outcome::Checked(finding)) => finding.hangs,
        _ => false,
    });
    if let (Some(worker), false) = (worker, hangs) {
        worker.end();
    }
    shown
}

/// Ends the wait for every path whose time limit has passed. Returns how many paths still have no outcome,
/// and when to call this again.
fn expire(paths: &mut [Path], start: Instant) -> (usize, Instant) {
    let now = Instant::now();
    let mut next = now + TICK;
    let mut waiting = 0;
    for path in paths.iter_mut().filter(|path| path.outcome.is_none()) {
        match path.deadline(start) {
            Some(deadline) if deadline <= now => path.outcome = Some(path.overdue()),
            deadline => {
                next = deadline.map_or(next, |deadline| next.min(deadline));
                waiting += 1;
            }
        }
    }
    (waiting, next)
}

/// Takes in reports until `next`, or until all of the `waiting` paths have their outcome.
///
/// # Errors
/// When there will be no more reports.
fn listen(
    reports: &Receiver<Vec<Report>>,
    paths: &mut [Path],
    wanted: &[usize],
    mut waiting: usize,
    next: Instant,
) -> Result<(), RecvTimeoutError> {
    while waiting > 0 {
        let batch = match reports.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(batch) => batch,
            Err(RecvTimeoutError::Timeout) => break,
            Err(end) => return Err(end),
        };
        for report in batch {
            let path = wanted
                .get(report.job)
                .and_then(|index| paths.get_mut(*index));
            // A result after the time limit is ignored.
            if let Some(path) = path.filter(|path| path.outcome.is_none()) {
                path.apply(report.event);
                waiting -= usize::from(path.outcome.is_some());
            }
        }
    }
    Ok(())
}

/// Sets the outcome of every path that has none.
fn settle(paths: &mut [Path], outcome: &Outcome) {
    for path in paths.iter_mut().filter(|path| path.outcome.is_none()) {
        path.outcome = Some(outcome.clone());
    }
}

/// The other process.
struct Worker {
    process: Child,
    /// Open as long as the worker is wanted.
    requests: ChildStdin,
    reports: Receiver<Vec<Report>>,
}

impl Worker {
    fn start(jobs: &[&Job]) -> io::Result<Worker> {
        let mut process = Command::new("/proc/self/exe")
            .arg0("pathcheck")
            .arg("--worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A worker that hangs must not keep the terminal open, or a pipe that is read to its
            // end.
            .stderr(Stdio::null())
            // The terminal's interrupt must not end it: it ends when this process does.
            .process_group(0)
            .spawn()?;
        let (requests, answers) = (process.stdin.take(), process.stdout.take());
        let (Some(mut requests), Some(answers)) = (requests, answers) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let options = jobs.first().map(|job| Arc::clone(&job.options));
        let devices: Vec<_> = jobs.iter().map(|job| job.device.as_os_str()).collect();
        requests.write_all(&protocol::request(&options.unwrap_or_default(), &devices)?)?;
        let (sender, reports) = mpsc::channel();
        thread::Builder::new().spawn(move || {
            for line in BufReader::new(answers).lines() {
                let reports = line.ok().and_then(|line| serde_json::from_str(&line).ok());
                if reports.is_none_or(|reports| sender.send(reports).is_err()) {
                    return;
                }
            }
        })?;
        Ok(Worker {
            process,
            requests,
            reports,
        })
    }

    /// Has the worker end, and returns its exit status if it ends in time. Waiting for it prevents a zombie
    /// process.
    fn end(self) -> Option<ExitStatus> {
        let Worker {
            mut process,
            requests,
            ..
        } = self;
        drop(requests);
        let give_up = Instant::now() + END_LIMIT;
        loop {
            match process.try_wait() {
                Ok(None) if Instant::now() < give_up => thread::sleep(Duration::from_millis(2)),
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
    }
}
