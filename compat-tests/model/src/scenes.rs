// SPDX-License-Identifier: LGPL-2.0-or-later

//! The scenes, and the variants that they must catch.

mod directio;
mod pool;
mod protocol;

use checkers_core::sync::Options;
use std::time::Duration;

/// A program whose schedules are explored.
#[derive(Clone, Copy)]
pub(crate) struct Scene {
    /// What it is about.
    pub(crate) name: &'static str,
    /// Runs it once, with this percentage of spawns that fail.
    pub(crate) run: fn(u32),
    /// The percentage.
    pub(crate) failing_spawns: u32,
    /// What its schedules may do.
    pub(crate) options: Options,
}

const PLAIN: Options = Options {
    spurious: 10,
    endless: None,
};

/// A timeout of seconds would hide a lost signal.
const ENDLESS: Options = Options {
    spurious: 0,
    endless: Some(Duration::from_secs(1)),
};

const fn scene(name: &'static str, run: fn(u32), failing_spawns: u32, options: Options) -> Scene {
    Scene {
        name,
        run,
        failing_spawns,
        options,
    }
}

/// Every scene. Those of another crate are added here: a module in `scenes`, and a line.
pub(crate) const SCENES: &[Scene] = &[
    scene("pool", pool::run, 0, PLAIN),
    scene("pool, spawns fail", pool::run, 30, PLAIN),
    scene("pool, long waits never time out", pool::run, 0, ENDLESS),
    scene("protocol", protocol::run, 0, PLAIN),
    scene("protocol, spawns fail", protocol::run, 30, PLAIN),
    scene(
        "protocol, long waits never time out",
        protocol::run,
        0,
        ENDLESS,
    ),
    scene("directio", directio::run, 0, PLAIN),
    scene("directio, spawns fail", directio::run, 30, PLAIN),
    scene(
        "directio, long waits never time out",
        directio::run,
        0,
        ENDLESS,
    ),
    scene(
        "directio, spawns fail, long waits never time out",
        directio::run,
        30,
        ENDLESS,
    ),
];

/// A broken variant: a fault that the code has when it is switched on by name.
#[derive(Clone, Copy)]
pub(crate) struct Variant {
    /// The name that the code gives it.
    pub(crate) name: &'static str,
    /// The scene that finds it.
    pub(crate) scene: &'static str,
}

const fn variant(name: &'static str, scene: &'static str) -> Variant {
    Variant { name, scene }
}

/// Every variant.
pub(crate) const VARIANTS: &[Variant] = &[
    variant(
        "a worker takes a job and forgets the others",
        "pool, long waits never time out",
    ),
    variant(
        "a worker that has spun still counts as spinning",
        "pool, long waits never time out",
    ),
    variant(
        "a job is queued although no thread can be had",
        "pool, spawns fail",
    ),
    variant(
        "the starter ends with jobs queued",
        "pool, long waits never time out",
    ),
    variant("a descriptor is closed before the command", "protocol"),
    variant("a run is not cancelled", "protocol"),
    variant("a slot goes to the cache while a worker has it", "protocol"),
    variant("a slot is put back twice", "protocol"),
    variant(
        "the end of the setup is not signalled",
        "protocol, long waits never time out",
    ),
    variant("withdrawn without the lock on the run", "protocol"),
    variant("a begun submission counts as taken back", "directio"),
    variant(
        "a caller that has slept wakes no other",
        "directio, long waits never time out",
    ),
    variant("a context is dropped with reads in flight", "directio"),
    variant("a group goes while a worker submits in it", "directio"),
    variant(
        "a settled submission wakes no thread",
        "directio, long waits never time out",
    ),
    variant(
        "a submission whose job has made another gets none",
        "directio, spawns fail, long waits never time out",
    ),
    variant(
        "events are taken from a sleeping caller",
        "directio, long waits never time out",
    ),
    variant(
        "the slot of a freed path is used again too early",
        "directio",
    ),
];
