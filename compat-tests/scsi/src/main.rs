//! Differential tests of the SCSI checkers: the C plugin of Debian 12 (multipath-tools 0.9.4) and
//! ours live through the same lives in one process, whose `ioctl` answers both from the same script.
//! Verdicts, messages, every command with its data and time limit, and the log have to agree, but for
//! the rows of docs/differences.md.

#![allow(
    clippy::indexing_slicing,
    reason = "a test program, in which a wrong offset has to be seen"
)]

mod case;
mod compare;
mod device;
mod host;
mod instance;
mod measure;
mod pair;
mod protocol;
mod random;
mod rows;
mod stderr;

use compat_tests::ledger;
use compat_tests::runner::Surroundings;
use pair::{Pair, Tally};
use std::collections::BTreeSet;
use std::ffi::{c_char, c_int, c_ulong, c_void};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// The checkers that talk SCSI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checker {
    /// tur
    Tur,
    /// readsector0
    Readsector0,
    /// rdac
    Rdac,
    /// emc_clariion
    EmcClariion,
    /// hp_sw
    HpSw,
    /// cciss_tur
    CcissTur,
}

impl Checker {
    const ALL: [Checker; 6] = [
        Checker::Tur,
        Checker::Readsector0,
        Checker::Rdac,
        Checker::EmcClariion,
        Checker::HpSw,
        Checker::CcissTur,
    ];

    fn name(self) -> &'static str {
        match self {
            Checker::Tur => "tur",
            Checker::Readsector0 => "readsector0",
            Checker::Rdac => "rdac",
            Checker::EmcClariion => "emc_clariion",
            Checker::HpSw => "hp_sw",
            Checker::CcissTur => "cciss_tur",
        }
    }
}

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static libmp_verbosity: c_int = 4;

/// The plugins' `ioctl`. Variadic in C; the third argument comes the same way.
#[unsafe(no_mangle)]
unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    // SAFETY: the caller's promises are passed on.
    unsafe { device::ioctl(fd, request, argument) }
}

/// The plugins' `fstat`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fstat(fd: c_int, stat: *mut libc::stat) -> c_int {
    // SAFETY: the caller's promises are passed on.
    unsafe { device::fstat(fd, stat) }
}

#[unsafe(no_mangle)]
extern "C" fn checker_is_sync(_: *const c_void) -> c_int {
    host::is_sync()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dlog(
    level: c_int,
    format: *const c_char,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
) {
    // SAFETY: plugins pass a format and what it needs, at most four words.
    unsafe { host::log(level, format, [a, b, c, d]) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn start_checker_thread(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    context: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promises are passed on.
    unsafe { host::start_thread(thread, attributes, context) }
}

const USAGE: &str = "\
usage: compat-scsi [measure] --c DIR --ours DIR --ledger FILE [--seed N] [--replies N] [--checker NAME] [--verdicts]
  measure         compare nothing; measure threads and waiting times of tur
  --c DIR         libcheck*.so of multipath-tools 0.9.4, where the package has them
                  (ROOT/lib/multipath), with the package's libraries in ROOT/lib and ROOT/usr/lib
  --ours DIR      our libcheck*.so
  --ledger FILE   docs/differences.md
  --seed N        where the random lives begin (default: the time of day)
  --replies N     how many random replies at least (default 1000000)
  --checker NAME  only this one; rows of the ledger may then stay unseen
  --verdicts      not the asynchronous protocol; rows of the ledger may then stay unseen
";

struct Options {
    measure: bool,
    protocol: bool,
    c: PathBuf,
    ours: PathBuf,
    ledger: PathBuf,
    seed: u64,
    replies: u64,
    checkers: Vec<Checker>,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        measure: false,
        protocol: true,
        c: PathBuf::new(),
        ours: PathBuf::new(),
        ledger: PathBuf::new(),
        seed: std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |time| time.as_secs()),
        replies: 1_000_000,
        checkers: Checker::ALL.to_vec(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        if name == "measure" {
            options.measure = true;
            continue;
        }
        if name == "--verdicts" {
            options.protocol = false;
            continue;
        }
        let value = words.next().ok_or(USAGE)?;
        let number = || value.parse().map_err(|_| USAGE);
        match name.as_str() {
            "--c" => options.c = value.into(),
            "--ours" => options.ours = value.into(),
            "--ledger" => options.ledger = value.into(),
            "--seed" => options.seed = number()?,
            "--replies" => options.replies = number()?,
            "--checker" => options.checkers.retain(|checker| checker.name() == value),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let complete = [&options.c, &options.ours, &options.ledger]
        .iter()
        .all(|path| path.exists());
    if complete && !options.checkers.is_empty() {
        Ok(options)
    } else {
        Err(USAGE.to_owned())
    }
}

/// Sees to it that libmultipath and what it needs are found, for which the dynamic linker has to know
/// before the process starts.
fn find_libraries(plugins: &Path) -> Result<(), String> {
    const MARK: &str = "COMPAT_SCSI_LIBRARIES";
    if std::env::var_os(MARK).is_some() {
        return Ok(());
    }
    let libraries = Surroundings::of(&plugins.join("libcheck.so")).libraries;
    let path = std::env::join_paths(libraries).map_err(|error| error.to_string())?;
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let error = Command::new(this)
        .args(std::env::args_os().skip(1))
        .env("LD_LIBRARY_PATH", path)
        .env(MARK, "1")
        .exec();
    Err(error.to_string())
}

/// The ids of the ledger's rows that name this program as the test that pins them.
fn pinned_here(path: &Path) -> Result<BTreeSet<String>, String> {
    let rows = ledger::read(path).map_err(|trouble| trouble.to_string())?;
    Ok(rows
        .into_iter()
        .filter(|row| row.pinned_by.contains("compat-scsi"))
        .map(|row| row.id)
        .collect())
}

/// The part that takes processor time: verdicts.
fn compare_verdicts(pair: &Pair, options: &Options) -> Result<Tally, String> {
    let start = Instant::now();
    let mut tally = Tally::default();
    pair.compare_messages(&mut tally);
    pair.play_rows(&mut tally);
    let rows = tally.lives;
    let share = options.replies.div_ceil(options.checkers.len() as u64);
    pair.play_random(options.seed, share, &mut tally)?;
    println!(
        "{:<13} {rows:>4} rows, {:>7} random lives with {:>7} replies, {} mismatches, {:.1} s",
        pair.checker.name(),
        tally.lives - rows,
        tally.replies,
        tally.mismatches,
        start.elapsed().as_secs_f64(),
    );
    Ok(tally)
}

/// How often the scenes are played when they do not go as they should. They tell milliseconds from
/// tens of them, which a machine that is busy otherwise may blur; a fault of a checker shows each time.
const PROTOCOL_ATTEMPTS: u32 = 3;

/// The asynchronous protocol, of all checkers at once.
fn compare_protocol(pairs: &[Pair]) -> Tally {
    for attempt in 1..PROTOCOL_ATTEMPTS {
        let tally = play_protocol(pairs);
        if tally.mismatches == 0 {
            return tally;
        }
        println!("attempt {attempt} of {PROTOCOL_ATTEMPTS}: the scenes are played again");
    }
    play_protocol(pairs)
}

/// The part that takes time alone.
fn play_protocol(pairs: &[Pair]) -> Tally {
    let start = Instant::now();
    host::set_sync(false);
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let all: Vec<_> = pairs
            .iter()
            .map(|pair| scope.spawn(|| protocol::play_all(pair)))
            .collect();
        for one in all {
            match one.join() {
                Ok(one) => tally.add(one),
                Err(_) => tally.mismatch("the asynchronous protocol", "a panic"),
            }
        }
    });
    host::set_sync(true);
    println!(
        "protocol      {:>4} scenes, {} mismatches, {:.1} s",
        tally.lives,
        tally.mismatches,
        start.elapsed().as_secs_f64(),
    );
    tally
}

fn run() -> Result<bool, String> {
    let options = options()?;
    find_libraries(&options.c)?;
    let load = |checker: &Checker| Pair::load(*checker, &options.c, &options.ours);
    if options.measure {
        measure::run(&load(&Checker::Tur)?);
        return Ok(true);
    }
    let ledger = pinned_here(&options.ledger)?;
    let pairs = options
        .checkers
        .iter()
        .map(load)
        .collect::<Result<Vec<_>, _>>()?;
    println!("seed {}", options.seed);
    let mut total = Tally::default();
    for pair in &pairs {
        total.add(compare_verdicts(pair, &options)?);
    }
    if options.protocol {
        total.add(compare_protocol(&pairs));
    }

    let shown: Vec<_> = total.rows.iter().copied().collect();
    for id in shown.iter().filter(|id| !ledger.contains(**id)) {
        total.mismatch(
            id,
            "is not in the ledger, or does not name compat-scsi there",
        );
    }
    if pairs.len() == Checker::ALL.len() && options.protocol {
        for id in ledger.iter().filter(|id| !shown.contains(&id.as_str())) {
            total.mismatch(id, "is in the ledger, but no longer shows");
        }
    }
    println!(
        "{} replies compared; rows of the ledger that showed: {}",
        total.replies,
        shown.join(" ")
    );
    println!("{} passed, {} failed", total.lives, total.mismatches);
    Ok(total.mismatches == 0)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
