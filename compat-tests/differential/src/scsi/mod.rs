//! Differential tests of the SCSI checkers: the C plugin of a multipath-tools release and ours live
//! through the same lives in one process, whose `ioctl` answers both from the same script. Verdicts,
//! messages, every command with its data and time limit, and the log have to agree, but for the rows
//! of docs/differences.toml.
//!
//! The process is a host of the release's ABI: it has loaded the release's libmultipath, calls the
//! plugins as that ABI's daemon does, and runs with the release's C library. What ABI it is, ours has
//! to find out from that.

#![allow(
    clippy::indexing_slicing,
    reason = "a test program, in which a wrong offset has to be seen"
)]

mod apart;
mod case;
mod compare;
mod device;
pub mod exports;
mod host;
mod instance;
mod library;
mod lines;
mod loaded;
mod measure;
mod pair;
mod protocol;
mod random;
mod rows;
mod stderr;
mod upstream;

use case::Mode;
use harness::abi::Abi;
use harness::ledger::{Ledger, Suite};
use harness::plugin;
use harness::surroundings::Surroundings;
use pair::{Pair, Tally};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// The ABIs of hosts that may export `start_checker_thread`.
pub const UP_TO_0_14: &[Abi] = &[Abi::V0_7_9, Abi::V0_11];

/// The ABI of hosts that do not.
pub const FROM_0_15: &[Abi] = &[Abi::V0_15];

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

    /// In which ways the lives of a host of this ABI are lived. C's tur has threads of its own before
    /// 0.15.0, and how their starts and ends meet is the subject of [`protocol`].
    fn modes(self, abi: Abi) -> &'static [Mode] {
        match self {
            Checker::Tur if abi < Abi::V0_15 => &[Mode::Sync],
            _ => &[Mode::Async, Mode::Sync],
        }
    }
}

const USAGE: &str = "\
usage: compat-scsi   --abi 0.7.9|0.11 [measure] --c DIR --ours DIR --ledger FILE [option …]
       compat-scsi-d --abi 0.15 --c DIR --ours DIR --ledger FILE [option …]
  measure         compare nothing; measure threads and waiting times of tur with ABI 0.7.9
  --abi ABI       the ABI of the C plugins
  --c DIR         libcheck*.so of that release, where the package has them (ROOT/lib/multipath), with
                  the package's libraries in ROOT/lib and ROOT/usr/lib
  --ours DIR      our libcheck*.so
  --ledger FILE   docs/differences.toml
  --seed N        where the random lives begin (default: the time of day)
  --replies N     how many random replies at least (default 1000000)
  --checker NAME  only this one; rows of the ledger may then stay unseen
  --verdicts      not the asynchronous protocol; rows of the ledger may then stay unseen
";

struct Options {
    abi: Abi,
    measure: bool,
    protocol: bool,
    c: PathBuf,
    ours: PathBuf,
    ledger: PathBuf,
    seed: u64,
    replies: u64,
    checkers: Vec<Checker>,
}

fn options(abis: &[Abi]) -> Result<Options, String> {
    let mut abi = None;
    let mut options = Options {
        abi: Abi::V0_7_9,
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
            "--abi" => abi = abis.iter().find(|abi| abi.name() == value),
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
    match abi {
        Some(abi) if complete && !options.checkers.is_empty() => {
            options.abi = *abi;
            Ok(options)
        }
        _ => Err(USAGE.to_owned()),
    }
}

/// Starts over with the C library of the release and the libraries beside it, which the dynamic linker
/// has to know before the process begins; then loads libmultipath as a host has it.
fn settle(plugins: &Path) -> Result<(), String> {
    const MARK: &str = "COMPAT_SCSI_SETTLED";
    let surroundings = Surroundings::of(&plugins.join("libcheck.so"));
    let Some(library) = &surroundings.libmultipath else {
        return Err(format!("no libmultipath.so.0 beside {}", plugins.display()));
    };
    if std::env::var_os(MARK).is_some() {
        let flags = libc::RTLD_NOW | libc::RTLD_GLOBAL;
        return plugin::open(library, flags)
            .map(drop)
            .map_err(|trouble| trouble.to_string());
    }
    let path = std::env::join_paths(&surroundings.libraries).map_err(|error| error.to_string())?;
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut again = match &surroundings.loader {
        Some(loader) => {
            let mut command = Command::new(loader);
            command.arg("--library-path").arg(&path).arg(this);
            command
        }
        None => {
            let mut command = Command::new(this);
            command.env("LD_LIBRARY_PATH", &path);
            command
        }
    };
    let error = again
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .exec();
    Err(error.to_string())
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

fn run(abis: &[Abi]) -> Result<bool, String> {
    let options = options(abis)?;
    settle(&options.c)?;
    upstream::use_plugins(&options.c);
    let ledger = Ledger::read(&options.ledger)?.pinned(Suite::Scsi, options.abi);
    let load =
        |checker: &Checker| Pair::load(*checker, options.abi, &options.c, &options.ours, &ledger);
    if options.measure {
        measure::run(&load(&Checker::Tur)?)?;
        return Ok(true);
    }
    let pairs = options
        .checkers
        .iter()
        .map(load)
        .collect::<Result<Vec<_>, _>>()?;
    println!("seed {}", options.seed);
    let mut total = Tally::default();
    host::silently(|| library::compare_tables(options.abi, &mut total))?;
    for pair in &pairs {
        total.add(compare_verdicts(pair, &options)?);
    }
    if options.protocol {
        total.add(compare_protocol(&pairs));
        for pair in &pairs {
            total.add(apart::run_all(pair));
        }
    }

    for (level, line) in host::take_unassigned() {
        total.mismatch("a line of no path", &format!("{level} {line}"));
    }
    let shown: Vec<_> = total.rows.iter().copied().collect();
    for id in shown.iter().filter(|id| !ledger.contains(**id)) {
        total.mismatch(
            id,
            "is not in the ledger, or does not name this suite with this ABI there",
        );
    }
    if pairs.len() == Checker::ALL.len() && options.protocol {
        for id in ledger.iter().filter(|id| !shown.contains(&id.as_str())) {
            total.mismatch(id, "is in the ledger, but no longer shows");
        }
    }
    println!(
        "{} replies and {} lines of the log compared; rows of the ledger that showed: {}",
        total.replies,
        total.lines,
        shown.join(" ")
    );
    println!("{} passed, {} failed", total.lives, total.mismatches);
    Ok(total.mismatches == 0)
}

/// Runs the comparison in an executable that is a host of one of these ABIs.
pub fn main(abis: &[Abi]) -> ExitCode {
    match run(abis) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
