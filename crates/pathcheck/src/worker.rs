//! The process that touches the devices.

use crate::board::{Board, Task};
use crate::check::{self, Stage};
use crate::outcome::Outcome;
use crate::protocol::{self, News, Report};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How many threads there are at first: so that one device that is slow does not hold up a healthy
/// machine, and few enough to be no burden to each other. When all of them are held up, as many more,
/// and twice that each time when it does not help.
const THREADS: usize = 4;

/// How often news are passed on, and how long all threads may be held up before there are more.
const PATIENCE: Duration = Duration::from_millis(5);

/// Takes the order from standard input, carries it out, and reports on standard output. Ends when
/// all jobs are done, or at the end of standard input: the parent has gone then.
pub(crate) fn run() {
    let jobs = match protocol::read_order(&mut io::stdin().lock()) {
        Ok(jobs) => jobs,
        Err(error) => {
            eprintln!("pathcheck: --worker is for the program's own use: {error}");
            return;
        }
    };
    // Without threads, and so without reports, this is the only sign that the parent has gone.
    if let Err(error) = read_without_waiting() {
        eprintln!("pathcheck: standard input: {error}");
        return;
    }
    // Each device takes a descriptor, and more than the usual 1024 may hang at a time.
    let _ = kernel_fd::raise_descriptor_limit();
    let count = jobs.len();
    let board = Arc::new(Board::new(jobs));
    start_threads(&board, THREADS.min(count));
    let mut more = THREADS;
    let mut returns = 0;
    loop {
        let look = board.watch(PATIENCE);
        report(&look.reports);
        if look.done {
            return;
        }
        if !is_wanted() {
            process::exit(0);
        }
        // Every thread may be with a dead device.
        let held_up = look.left > 0 && look.returns == returns;
        if held_up || look.unattended > PATIENCE {
            start_threads(&board, more.min(look.left.max(1)));
            more = more.saturating_mul(2);
        } else {
            more = THREADS;
        }
        returns = look.returns;
    }
}

/// Makes reads from standard input return at once. Its open file is the worker's alone: the parent
/// has the other end of the pipe.
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

/// Without another thread the jobs wait for those there are.
fn start_threads(board: &Arc<Board>, count: usize) {
    for _ in 0..count {
        let board = Arc::clone(board);
        let _ = thread::Builder::new().spawn(move || work(&board));
    }
}

/// Does what there is to do.
fn work(board: &Board) {
    while let Some(task) = board.take() {
        let index = match task {
            Task::Begin(index, _) | Task::Look(index, _) => index,
        };
        let step = || match task {
            Task::Begin(_, job) => check::begin(job, &mut |news| board.note(index, news)),
            Task::Look(_, check) => check.look(),
        };
        let stage = catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| {
            Stage::Ended(Outcome::Failed(
                "the checker has a fault (it panicked)".to_owned(),
            ))
        });
        match stage {
            Stage::UnderWay(check) => board.put(index, check),
            Stage::Ended(outcome) => board.note(index, News::Ended(outcome)),
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
