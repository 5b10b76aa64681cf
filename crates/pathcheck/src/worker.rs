//! The process that touches the devices.

use crate::check;
use crate::outcome::Outcome;
use crate::protocol::{Job, News, Report};
use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How many threads there are at first, and how many more whenever all of them are busy.
const THREADS: usize = 64;

/// How long all threads may be busy before there are more.
const PATIENCE: Duration = Duration::from_millis(10);

/// Takes the list of jobs from standard input, does them, and reports on standard output. Ends when
/// all are done, or with its standard input: the parent has gone then.
pub(crate) fn run() {
    let mut order = String::new();
    if io::stdin().lock().read_line(&mut order).is_err() {
        return;
    }
    let jobs: Vec<Job> = match serde_json::from_str(&order) {
        Ok(jobs) => jobs,
        Err(error) => {
            eprintln!("pathcheck: --worker is for the program's own use: {error}");
            return;
        }
    };
    // Without the thread the process would only notice at its next report.
    let _ = thread::Builder::new().spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        process::exit(0);
    });
    // Each device takes a descriptor, and more than the usual 1024 may hang at a time.
    let _ = kernel_fd::raise_descriptor_limit();
    let queue = Arc::new(Mutex::new(Queue {
        left: jobs.into_iter().enumerate().collect::<Vec<_>>().into_iter(),
        running: 0,
    }));
    let mut left_before = usize::MAX;
    loop {
        let (left, running) = {
            let queue = lock(&queue);
            (queue.left.len(), queue.running)
        };
        if left == 0 && running == 0 {
            return;
        }
        // Nobody has taken a job since the last look: every thread may be with a dead device.
        if left > 0 && left == left_before || left_before == usize::MAX {
            for _ in 0..left.min(THREADS) {
                let queue = Arc::clone(&queue);
                // Without another thread the jobs wait for those there are.
                let _ = thread::Builder::new().spawn(move || work(&queue));
            }
        }
        left_before = left;
        thread::sleep(PATIENCE);
    }
}

struct Queue {
    left: std::vec::IntoIter<(usize, Job)>,
    running: usize,
}

fn lock(queue: &Mutex<Queue>) -> std::sync::MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does jobs as long as there are any.
fn work(queue: &Mutex<Queue>) {
    loop {
        let (index, job) = {
            let mut queue = lock(queue);
            let Some(next) = queue.left.next() else {
                return;
            };
            queue.running += 1;
            next
        };
        let run = || check::run(&job, &mut |news| report(index, news));
        let outcome = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            Outcome::Failed("the checker has a fault (it panicked)".to_owned())
        });
        report(index, News::Ended(outcome));
        lock(queue).running -= 1;
    }
}

fn report(job: usize, news: News) {
    let Ok(mut line) = serde_json::to_vec(&Report { job, news }) else {
        return;
    };
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    if stdout
        .write_all(&line)
        .and_then(|()| stdout.flush())
        .is_err()
    {
        process::exit(0);
    }
}
