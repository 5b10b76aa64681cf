//! The process that the user started: asks the worker about all devices and keeps the time limits.

use crate::choice::Choice;
use crate::facts::{DEFAULT_TIMEOUT, Facts};
use crate::outcome::{Finding, Outcome};
use crate::progress::Progress;
use crate::protocol::{self, Job, News, Report, Step};
use checkers_core::{PathState, Seconds};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How much later than its time limit a device's result may come from the worker.
const GRACE: Duration = Duration::from_millis(500);

/// How often results and progress are shown while some are still to come.
const TICK: Duration = Duration::from_millis(100);

/// How long the worker may take to end once all is known; it is left behind then.
const FAREWELL: Duration = Duration::from_millis(200);

/// One device and what is known about it.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) job: Job,
    pub(crate) facts: Option<Facts>,
    pub(crate) outcome: Option<Outcome>,
    /// The step that it is at, and since when the device is being worked on.
    under_way: Option<(Step, Instant)>,
}

impl Path {
    /// A device that nothing is known about yet.
    pub(crate) fn new(job: Job) -> Path {
        Path {
            job,
            facts: None,
            outcome: None,
            under_way: None,
        }
    }

    /// The device's name for people: without anything that would upset a terminal.
    pub(crate) fn name(&self) -> String {
        let name = self.job.device.to_string_lossy();
        name.chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect()
    }

    /// Its checker, as far as that is known.
    pub(crate) fn choice(&self) -> Option<Choice> {
        self.job.choice(self.facts.as_ref())
    }

    /// The time limit of its check, in seconds.
    pub(crate) fn timeout(&self) -> u32 {
        let own = self
            .facts
            .as_ref()
            .map_or(DEFAULT_TIMEOUT, |facts| facts.timeout);
        self.job.options.timeout.unwrap_or(own)
    }

    /// When the worker must have reported; `start` is when the program started.
    pub(crate) fn deadline(&self, start: Instant) -> Option<Instant> {
        let since = self.under_way.map_or(start, |(_, since)| since);
        since.checked_add(Duration::from_secs(self.timeout().into()) + GRACE)
    }

    /// What there is to say when the worker has not reported in time.
    fn overdue(&self) -> Outcome {
        let limit = Seconds(self.timeout());
        let message = match self.under_way {
            Some((step, _)) => format!("{} has not returned within {limit}", step.name()),
            None => format!("there was no thread for it within {limit}"),
        };
        Outcome::Checked(Finding {
            hangs: true,
            ..Finding::new(PathState::Timeout, message)
        })
    }

    fn learn(&mut self, news: News) {
        match news {
            News::Begins(step) => {
                let since = self.under_way.map_or_else(Instant::now, |(_, since)| since);
                self.under_way = Some((step, since));
            }
            News::Found(facts) => self.facts = Some(facts),
            News::Ended(outcome) => self.outcome = Some(outcome),
        }
    }
}

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
            let end = worker.take().and_then(Worker::farewell);
            let end = end.map_or_else(String::new, |status| format!(": {status}"));
            let why = format!("the worker process ended{end}");
            settle(paths, &Outcome::Failed(why));
        } else {
            display.update(paths, &mut progress)?;
        }
    }
    progress.clear();
    let shown = display.finish(paths);
    // With a request in flight the kernel does not let it go.
    let hangs = paths.iter().any(|path| match &path.outcome {
        Some(Outcome::Checked(finding)) => finding.hangs,
        _ => false,
    });
    if let (Some(worker), false) = (worker, hangs) {
        worker.farewell();
    }
    shown
}

/// Ends the wait for every path whose time is up. Returns how many are still waited for and when to
/// look again.
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
            // An answer that comes when its time was up comes too late.
            if let Some(path) = path.filter(|path| path.outcome.is_none()) {
                path.learn(report.news);
                waiting -= usize::from(path.outcome.is_some());
            }
        }
    }
    Ok(())
}

/// Gives every path without an outcome one.
fn settle(paths: &mut [Path], outcome: &Outcome) {
    for path in paths.iter_mut().filter(|path| path.outcome.is_none()) {
        path.outcome = Some(outcome.clone());
    }
}

/// The other process.
struct Worker {
    process: Child,
    /// Open as long as the worker is wanted.
    orders: ChildStdin,
    reports: Receiver<Vec<Report>>,
}

impl Worker {
    fn start(jobs: &[&Job]) -> io::Result<Worker> {
        let mut process = Command::new("/proc/self/exe")
            .arg0("pathcheck")
            .arg("--worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A worker that is left behind must not hold the terminal, or a pipe that somebody
            // reads to its end.
            .stderr(Stdio::null())
            // Nor is it to be ended by the terminal's interrupt: it ends when this process does.
            .process_group(0)
            .spawn()?;
        let (orders, answers) = (process.stdin.take(), process.stdout.take());
        let (Some(mut orders), Some(answers)) = (orders, answers) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let options = jobs.first().map(|job| Arc::clone(&job.options));
        let devices: Vec<_> = jobs.iter().map(|job| job.device.as_os_str()).collect();
        orders.write_all(&protocol::order(&options.unwrap_or_default(), &devices)?)?;
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
            orders,
            reports,
        })
    }

    /// Sends the worker away and says how it ended, if it does in time. Collected, it does not stay
    /// behind as a zombie where nobody else collects it.
    fn farewell(self) -> Option<ExitStatus> {
        let Worker {
            mut process,
            orders,
            ..
        } = self;
        drop(orders);
        let give_up = Instant::now() + FAREWELL;
        loop {
            match process.try_wait() {
                Ok(None) if Instant::now() < give_up => thread::sleep(Duration::from_millis(2)),
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
    }
}
