// SPDX-License-Identifier: LGPL-2.0-or-later

//! Runs the scenes under shuttle's schedulers.

use crate::scenes::{SCENES, Scene, VARIANTS, Variant};
use crate::schedule::set_options;
use checkers_core::sync;
use clap::Parser;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

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
const PATIENCE: usize = 100_000;

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
        // Exit code 1: the run of a broken variant ends with the failure that shows it.
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
            set_options(options);
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
