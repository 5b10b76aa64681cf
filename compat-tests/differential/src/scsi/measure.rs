//! What tur costs a host with many paths: threads, and the time until the verdicts are there.
//!
//! The host is one of 0.9.4, whose checker loop calls `libcheck_check` on one path after the other.

use crate::scsi::device::{Answer, Device, Pace, Reply};
use crate::scsi::host;
use crate::scsi::instance::Instance;
use crate::scsi::loaded::Loaded;
use crate::scsi::pair::Pair;
use harness::abi::Abi;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PATHS: usize = 1000;
const HUNG: usize = 100;
const ROUNDS: usize = 10;
const UP: c_int = 3;
const PENDING: c_int = 6;

struct Path<'a> {
    instance: Instance<'a>,
    device: Arc<Device>,
    /// The device answers no more.
    hung: bool,
    /// There has been a verdict in this round.
    known: bool,
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Counts the threads of the process while `work` runs: the most there were at one time, without this
/// one and the one that counts.
fn most_threads(work: impl FnOnce()) -> usize {
    let most = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                most.fetch_max(threads(), Ordering::SeqCst);
                sleep(Duration::from_micros(200));
            }
        });
        work();
        over.store(true, Ordering::SeqCst);
    });
    most.into_inner().saturating_sub(2)
}

fn paths<'a>(plugin: &'a Loaded, first: c_int, healthy: usize, hung: usize) -> Vec<Path<'a>> {
    let every = (healthy + hung).checked_div(hung).unwrap_or(usize::MAX);
    (0..healthy + hung)
        .map(|index| {
            let fd = first + index as c_int;
            let device = Device::install(fd);
            let hung = index % every == every - 1;
            if hung {
                device.answer(&[Answer::from(Reply::GOOD).at(Pace::Hung)]);
            }
            let mut instance = Instance::new(plugin, Abi::V0_7_9, fd, 30);
            instance.init();
            Path {
                instance,
                device,
                hung,
                known: false,
            }
        })
        .collect()
}

/// One figure of either plugin.
struct Line {
    what: &'static str,
    values: Vec<String>,
}

fn measure(plugin: &Loaded, first: c_int) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();

    let started = host::threads_started();
    let mut all = paths(plugin, first, PATHS, 0);
    let longest = Mutex::new(Duration::ZERO);
    let begin = Instant::now();
    let most = most_threads(|| {
        for _ in 0..ROUNDS {
            all.iter_mut().for_each(|path| path.known = false);
            while round(&mut all, &longest) < PATHS {}
        }
    });
    let time = begin.elapsed() / ROUNDS as u32;
    free(all);
    found.push((
        "1000 instant devices: most threads at one time",
        most.to_string(),
    ));
    let started = host::threads_started() - started;
    found.push((
        "threads that the host started in 10 rounds",
        started.to_string(),
    ));
    found.push((
        "until all verdicts are in, mean of 10 rounds",
        format!("{:.1} ms", millis(time)),
    ));
    found.push(("longest call", format!("{:.2} ms", millis(take(&longest)))));

    let mut all = paths(plugin, first + 10_000, PATHS, HUNG);
    let begin = Instant::now();
    let most = most_threads(|| {
        // The daemon comes back to paths that are pending; here without the second in between.
        while round(&mut all, &longest) < PATHS {}
    });
    let time = begin.elapsed();
    found.push((
        "1000 healthy beside 100 hung: most threads at one time",
        most.to_string(),
    ));
    found.push((
        "until all healthy verdicts are in",
        format!("{:.1} ms", millis(time)),
    ));
    found.push(("longest call", format!("{:.2} ms", millis(take(&longest)))));
    let begin = Instant::now();
    free(all);
    found.push((
        "libcheck_free on all 1100",
        format!("{:.1} ms", millis(begin.elapsed())),
    ));
    found
}

/// Calls `libcheck_check` on every path that has no verdict yet. Says how many have one now.
fn round(paths: &mut [Path<'_>], longest: &Mutex<Duration>) -> usize {
    for path in paths.iter_mut().filter(|path| !path.known) {
        path.instance.set_message(0);
        let begin = Instant::now();
        let state = path.instance.check();
        let time = begin.elapsed();
        if let Ok(mut longest) = longest.lock() {
            *longest = time.max(*longest);
        }
        assert!(
            state == PENDING || (state == UP && !path.hung),
            "state {state}"
        );
        path.known = state == UP;
    }
    paths.iter().filter(|path| path.known).count()
}

fn free(paths: Vec<Path<'_>>) {
    for path in paths {
        path.instance.free();
        path.device.release();
    }
}

fn take(longest: &Mutex<Duration>) -> Duration {
    longest
        .lock()
        .map_or(Duration::ZERO, |mut longest| std::mem::take(&mut *longest))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Prints the figures of both.
///
/// # Errors
/// When the pair is not of ABI 0.7.9.
pub(crate) fn run(pair: &Pair) -> Result<(), String> {
    let (Abi::V0_7_9, Loaded::Entries(c)) = (pair.abi, &pair.c) else {
        return Err("only ABI 0.7.9 is measured".to_owned());
    };
    host::set_thread(c.thread());
    host::set_sync(false);
    let mut lines: Vec<Line> = Vec::new();
    for (plugin, first) in [(&pair.c, 3_000_000), (&pair.ours, 4_000_000)] {
        let found = measure(plugin, first);
        if lines.is_empty() {
            lines.extend(found.iter().map(|(what, _)| Line {
                what,
                values: Vec::new(),
            }));
        }
        for (line, (_, value)) in lines.iter_mut().zip(found) {
            line.values.push(value);
        }
    }
    println!("{:<56} {:>12} {:>12}", "tur", "C 0.9.4", "ours");
    for line in lines {
        print!("{:<56}", line.what);
        for value in line.values {
            print!(" {value:>12}");
        }
        println!();
    }
    Ok(())
}
