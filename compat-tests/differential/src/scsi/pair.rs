//! The C checker and ours, side by side.

use crate::scsi::case::{self, Record, Remarks, Side, play};
use crate::scsi::compare::{EVERYWHERE, compare};
use crate::scsi::device::Device;
use crate::scsi::loaded::Loaded;
use crate::scsi::stderr::Stderr;
use crate::scsi::{Checker, random, rows};
use harness::abi::Abi;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// The same checker twice, and a device for either.
pub(crate) struct Pair {
    pub(crate) checker: Checker,
    pub(crate) abi: Abi,
    pub(crate) c: Loaded,
    pub(crate) ours: Loaded,
    /// The rows of the ledger that apply in this ABI.
    ledger: BTreeSet<String>,
    c_device: Arc<Device>,
    our_device: Arc<Device>,
}

impl Pair {
    /// Loads both.
    pub(crate) fn load(
        checker: Checker,
        abi: Abi,
        c: &Path,
        ours: &Path,
        ledger: &BTreeSet<String>,
    ) -> Result<Pair, String> {
        let file = format!("libcheck{}.so", checker.name());
        let fd = 1_000_000 + 2 * checker as i32;
        let ours = Loaded::load(&ours.join(&file), checker.name(), abi)?;
        if !matches!(ours, Loaded::Entries(_)) {
            return Err(format!(
                "{file}: ours has the form that gives it 16 KiB of stack"
            ));
        }
        Ok(Pair {
            checker,
            abi,
            c: Loaded::load(&c.join(&file), checker.name(), abi)?,
            ours,
            ledger: ledger.clone(),
            c_device: Device::install(fd),
            our_device: Device::install(fd + 1),
        })
    }

    /// Our table has to be C's, and then what a check that runs needs.
    pub(crate) fn compare_messages(&self, tally: &mut Tally) {
        const RUN: [&str; 3] = [" still running", " timed out", " failed to initialize"];
        const TRANSITION: &str = " reports path is transitioning";
        let c: Vec<&str> = self.c.messages().iter().map(String::as_str).collect();
        let (row, expected) = match (self.checker, self.abi) {
            (Checker::Tur, Abi::V0_7_9) => (Some("T8"), [c, vec![TRANSITION]].concat()),
            (Checker::Tur, Abi::V0_11 | Abi::V0_14) => (None, c),
            // The host has taken the texts of a run over, and C's table begins behind them.
            (Checker::Tur, Abi::V0_15) => (Some("A3"), [RUN.to_vec(), c].concat()),
            (_, Abi::V0_7_9 | Abi::V0_11 | Abi::V0_14) => (Some("A1"), [c, RUN.to_vec()].concat()),
            (_, Abi::V0_15) => (Some("A3"), [c, RUN.to_vec()].concat()),
        };
        let ours = self.ours.messages();
        if ours == expected {
            tally.rows.extend(row);
        } else {
            let why = format!("messages: {expected:?} expected, {ours:?} found");
            tally.mismatch(self.checker.name(), &why);
        }
    }
}

/// What a run has come to.
#[derive(Default)]
pub(crate) struct Tally {
    /// Lives lived by both plugins.
    pub(crate) lives: u64,
    /// Replies given to the C plugin.
    pub(crate) replies: u64,
    /// Lines of the log, of both sides.
    pub(crate) lines: u64,
    /// Rows of the ledger that showed.
    pub(crate) rows: BTreeSet<&'static str>,
    /// What the ledger does not allow.
    pub(crate) mismatches: u64,
}

impl Tally {
    /// Adds another.
    pub(crate) fn add(&mut self, mut other: Tally) {
        self.lives += other.lives;
        self.replies += other.replies;
        self.lines += other.lines;
        self.rows.append(&mut other.rows);
        self.mismatches += other.mismatches;
    }

    /// Reports one.
    pub(crate) fn mismatch(&mut self, what: &str, why: &str) {
        self.mismatches += 1;
        println!("MISMATCH {what}\n{why}\n");
    }
}

/// A life of both sides that agreed.
struct Played {
    ours: Record,
    /// Replies given to upstream's plugin.
    replies: u64,
    lines: u64,
    rows: BTreeSet<&'static str>,
}

impl Pair {
    /// One side's life.
    fn play_side(
        &self,
        side: Side,
        case: &case::Case,
        stderr: Option<&mut Stderr>,
    ) -> (Record, Remarks) {
        let (plugin, device) = match side {
            Side::C => (&self.c, &self.c_device),
            Side::Ours => (&self.ours, &self.our_device),
        };
        play(self.checker, plugin, side, self.abi, device, case, stderr)
    }

    /// Both lives, compared. Gives what ours was, C's number of replies and the rows that showed.
    fn play(&self, case: &case::Case, stderr: &mut Option<Stderr>) -> Result<Played, String> {
        let (c, c_remarks) = self.play_side(Side::C, case, stderr.as_mut());
        let (ours, our_remarks) = self.play_side(Side::Ours, case, stderr.as_mut());
        let mut rows = compare(self.checker, self.abi, case, &c, &ours)?;
        let mut lines = 0;
        for (side, remarks) in [(Side::C, c_remarks), (Side::Ours, our_remarks)] {
            if !remarks.wrong.is_empty() {
                return Err(format!("{side:?}: {}", remarks.wrong.join("\n")));
            }
            rows.extend(remarks.rows);
            lines += remarks.lines;
        }
        let checks: usize = c.checks.iter().map(|check| check.sent.len()).sum();
        Ok(Played {
            ours,
            replies: (c.setup.len() + checks) as u64,
            lines,
            rows,
        })
    }

    fn stderr(&self) -> Result<Option<Stderr>, String> {
        (self.checker == Checker::CcissTur)
            .then(Stderr::keep)
            .transpose()
            .map_err(|error| error.to_string())
    }

    fn play_row(&self, row: &rows::Row) -> Result<(BTreeSet<&'static str>, u64), String> {
        let mut stderr = self.stderr()?;
        let (seen, ours, lines) = if row.deadly {
            let (ours, _) = self.play_side(Side::Ours, &row.case, None);
            if !dies(|| drop(self.play_side(Side::C, &row.case, None))) {
                return Err("the C plugin survived".to_owned());
            }
            (row.ledger.iter().copied().collect(), ours, 0)
        } else {
            let played = self.play(&row.case, &mut stderr)?;
            (played.rows, played.ours, played.lines)
        };
        let found: Vec<_> = ours
            .checks
            .iter()
            .map(|check| (check.state, check.message, check.sent.len()))
            .collect();
        if found != row.expected {
            return Err(format!("{:?} expected, {found:?} found", row.expected));
        }
        let telling = |id: &&str| !EVERYWHERE.contains(id);
        let found: Vec<_> = seen.iter().copied().filter(telling).collect();
        let here = |id: &&str| self.ledger.contains(*id);
        let expected: Vec<_> = row.ledger.iter().copied().filter(here).collect();
        if found != expected {
            return Err(format!("rows {expected:?} expected, {found:?} found"));
        }
        Ok((seen, lines))
    }

    /// The hand-written lives.
    pub(crate) fn play_rows(&self, tally: &mut Tally) {
        for mode in self.checker.modes(self.abi) {
            for row in rows::all(self.abi) {
                if row.checker != self.checker {
                    continue;
                }
                let row = row.in_mode(*mode);
                tally.lives += 1;
                match self.play_row(&row) {
                    Ok((rows, lines)) => {
                        tally.rows.extend(rows);
                        tally.lines += lines;
                    }
                    Err(why) => {
                        let what = format!("{}, {mode:?}: {}", self.checker.name(), row.name);
                        tally.mismatch(&what, &why);
                    }
                }
            }
        }
    }

    /// Random lives until the C plugin has had this many replies.
    pub(crate) fn play_random(
        &self,
        seed: u64,
        replies: u64,
        tally: &mut Tally,
    ) -> Result<(), String> {
        const LIVES: u32 = 1000;
        let lives = Cell::new(0);
        let given = Cell::new(0);
        let lines = Cell::new(0);
        let rows = RefCell::new(BTreeSet::new());
        let stderr = RefCell::new(self.stderr()?);
        let strategy = random::any_case(self.checker, self.abi);
        for batch in 0_u64.. {
            if given.get() >= replies {
                break;
            }
            let mut entropy = [0; 32];
            for (part, word) in entropy.chunks_mut(8).zip([seed, batch, 0, 0]) {
                part.copy_from_slice(&word.to_le_bytes());
            }
            let config = Config {
                cases: LIVES,
                failure_persistence: None,
                ..Config::default()
            };
            let random = TestRng::from_seed(RngAlgorithm::ChaCha, &entropy);
            let outcome = TestRunner::new_with_rng(config, random).run(&strategy, |case| {
                lives.set(lives.get() + 1);
                let played = self
                    .play(&case, &mut stderr.borrow_mut())
                    .map_err(TestCaseError::fail)?;
                given.set(given.get() + played.replies);
                lines.set(lines.get() + played.lines);
                rows.borrow_mut().extend(played.rows);
                Ok(())
            });
            if let Err(error) = outcome {
                let why = match error {
                    TestError::Fail(reason, case) => format!("{case:#?}\n{reason}"),
                    TestError::Abort(reason) => reason.to_string(),
                };
                let name = self.checker.name();
                let again = format!("--checker {name} --seed {seed}");
                tally.mismatch(&format!("{name}, random life, {again}"), &why);
                break;
            }
        }
        tally.lives += lives.get();
        tally.replies += given.get();
        tally.lines += lines.get();
        tally.rows.append(&mut rows.borrow_mut());
        Ok(())
    }
}

/// Whether a process that does this is ended by a signal.
pub(crate) fn dies(what: impl FnOnce()) -> bool {
    // SAFETY: the child touches nothing but memory of its own and ends without cleaning up; the
    // other threads, which it lacks, are idle workers.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            let nothing = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            libc::setrlimit(libc::RLIMIT_CORE, &raw const nothing);
            what();
            libc::_exit(0);
        }
        let mut status = 0;
        child > 0 && libc::waitpid(child, &raw mut status, 0) == child && libc::WIFSIGNALED(status)
    }
}
