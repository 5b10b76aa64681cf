//! Runs the scenes under shuttle's schedulers.

use crate::scenes::{SCENES, Scene, VARIANTS, Variant};
use checkers_core::pool::{self, POOL};
use checkers_core::sync::{self, Condvar, Mutex, Options, chance, lock, thread};
use clap::Parser;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use std::{env, io};

/// Explores schedules of the asynchronous core.
#[derive(Parser)]
struct Arguments {
    /// How many schedules of each scene, half of them by each scheduler.
    #[arg(long, default_value_t = 2000)]
    schedules: usize,
    /// Runs the code with one mistake, and ends with the first schedule that shows it.
    #[arg(long, value_name = "VARIANT")]
    broken: Option<String>,
    /// Only scenes whose names contain this.
    #[arg(long, default_value = "")]
    scene: String,
}

/// The most schedules in which a broken variant must show itself.
const PATIENCE: usize = 10_000;

/// More steps than any schedule needs: a live-lock.
const MAX_STEPS: usize = 200_000;

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(name) = arguments.broken {
        let Some(variant) = VARIANTS.iter().find(|variant| variant.name == name) else {
            eprintln!("no such variant: {name}");
            return ExitCode::from(2);
        };
        sync::set_broken(name);
        let mut scenes = SCENES.iter().filter(|scene| scene.name == variant.scene);
        let found = scenes.any(|scene| !holds(scene, PATIENCE));
        // The shell's way: a mistake that was found is a failure of the code.
        return ExitCode::from(u8::from(found));
    }
    let scenes = SCENES
        .iter()
        .filter(|scene| scene.name.contains(&arguments.scene));
    let (mut passed, mut failed) = (0, 0);
    for scene in scenes {
        match holds(scene, arguments.schedules) {
            true => passed += 1,
            false => failed += 1,
        }
    }
    if arguments.scene.is_empty() {
        for variant in VARIANTS {
            match is_caught(variant) {
                true => passed += 1,
                false => failed += 1,
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}

/// Whether no schedule of the scene fails.
fn holds(scene: &Scene, schedules: usize) -> bool {
    let start = Instant::now();
    let half = schedules.div_ceil(2);
    let random = explore(scene, RandomScheduler::new(half));
    let explored = random.and_then(|random| {
        let depths = explore(scene, PctScheduler::new(4, half))?;
        Ok(random + depths)
    });
    match explored {
        Ok(count) => {
            println!("{}: {count} schedules, {:.1?}", scene.name, start.elapsed());
            true
        }
        Err(failure) => {
            println!("{}: FAILED: {failure}", scene.name);
            false
        }
    }
}

/// Explores schedules of a scene until one fails. Returns how many were explored.
fn explore(scene: &Scene, scheduler: impl Scheduler + 'static) -> Result<usize, String> {
    let Scene {
        run,
        failing_spawns,
        options,
        ..
    } = *scene;
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(MAX_STEPS);
    config.stack_size = 0x10000;
    config.failure_persistence = FailurePersistence::Print;
    config.silence_warnings = true;
    let runner = Runner::new(scheduler, config);
    let explored = catch_unwind(AssertUnwindSafe(|| {
        runner.run(move || {
            OPTIONS.set(Some(options));
            sync::explore(options, || run(failing_spawns));
        })
    }));
    explored.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref().map(|text: &&str| (*text).to_owned()));
        let text = text.unwrap_or_default();
        text.lines().next().unwrap_or_default().to_owned()
    })
}

/// Whether a process that runs the code with this mistake finds it.
fn is_caught(variant: &Variant) -> bool {
    let start = Instant::now();
    let caught = env::current_exe().and_then(|program| {
        Command::new(program)
            .args(["--broken", variant.name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
    });
    let caught = caught.is_ok_and(|status| status.code() == Some(1));
    let result = if caught { "caught" } else { "NOT CAUGHT" };
    println!(
        "broken: {}: {result}, {:.1?}",
        variant.name,
        start.elapsed()
    );
    caught
}

/// The threads of the schedule's pool that have not ended.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // shuttle runs all threads of a schedule on one.
    static OPTIONS: Cell<Option<Options>> = const { Cell::new(None) };
    static FAILING: Cell<u32> = const { Cell::new(0) };
    static FAILURE: Cell<Option<&'static str>> = const { Cell::new(None) };
    static GATE: RefCell<Option<Arc<Gate>>> = const { RefCell::new(None) };
}

/// How often the end is looked for.
const MAX_ROUNDS: u32 = 20_000;

/// Begins a schedule.
pub(crate) fn begin(failing_spawns: u32) {
    pool::set_spawner(spawn);
    ALIVE.store(0, SeqCst);
    FAILING.set(failing_spawns);
    FAILURE.set(None);
    GATE.set(Some(Arc::new(Gate::new())));
}

/// Whether long waits of this schedule never time out.
pub(crate) fn endless_waits() -> bool {
    OPTIONS
        .get()
        .is_some_and(|options| options.endless.is_some())
}

fn spawn(body: fn()) -> io::Result<()> {
    if chance(FAILING.get()) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    ALIVE.fetch_add(1, SeqCst);
    thread::spawn(move || {
        body();
        ALIVE.fetch_sub(1, SeqCst);
    });
    Ok(())
}

/// Waits until all threads of the pool have ended and `done` is true.
///
/// # Panics
/// When that does not happen.
pub(crate) fn all_threads_end(done: impl Fn() -> bool) {
    for round in 0.. {
        if ALIVE.load(SeqCst) == 0 && done() {
            break;
        }
        assert!(round < MAX_ROUNDS, "threads do not end, or a slot is lost");
        if round % 50 == 0 {
            POOL.dismiss_idle();
        }
        thread::yield_now();
    }
    if let Some(failure) = FAILURE.take() {
        panic!("{failure}");
    }
}

/// Fails the schedule at its end unless `holds`. For code whose panics the product catches.
pub(crate) fn require(holds: bool, failure: &'static str) {
    if !holds {
        FAILURE.set(Some(failure));
    }
}

/// What hanging devices wait for.
pub(crate) struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

/// The gate of this schedule.
pub(crate) fn gate() -> Arc<Gate> {
    GATE.with_borrow(|gate| Arc::clone(gate.as_ref().expect("only in a schedule")))
}

impl Gate {
    pub(crate) fn new() -> Gate {
        Gate {
            open: Mutex::new(false),
            opened: Condvar::new(),
        }
    }

    pub(crate) fn open(&self) {
        *lock(&self.open) = true;
        self.opened.notify_all();
    }

    pub(crate) fn is_open(&self) -> bool {
        *lock(&self.open)
    }

    /// Hangs until the gate is open.
    pub(crate) fn pass(&self) {
        let mut open = lock(&self.open);
        while !*open {
            open = self
                .opened
                .wait(open)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
