//! What goes on for ever must not need memory: after a path's first checks, no further one allocates.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::*;
use std::os::fd::AsRawFd;

const PATHS: i64 = 8;

/// How many rounds go without an allocation in the end, and after how many times that, at most.
const ROUNDS: usize = 40;
const WINDOWS: usize = 8;

fn allocates_nothing(shim: Shim, load: fn(&str, u8) -> Plugin, eras: &[u8]) {
    shim.set(Knob::Scsi, 2);
    let file = file();
    for &name in ALL {
        for &era in eras {
            let plugin = load(name, era);
            let mut paths: Vec<_> = (0..PATHS)
                .map(|_| Checker::new(plugin, era, file.as_raw_fd(), 30))
                .collect();
            for path in &mut paths {
                assert_eq!(path.init(), 0, "{name}");
            }
            // As many workers as the paths can ever keep busy. They stay for ten seconds.
            if SCSI.contains(&name) {
                shim.set(Knob::Scsi, 1);
                for path in &mut paths {
                    path.check();
                }
                within(|| shim.get(Knob::ScsiInside) == PATHS);
                shim.set(Knob::Scsi, 2);
            }
            let mut rounds = |count| {
                for _ in 0..count {
                    for path in &mut paths {
                        path.round();
                    }
                    for path in &mut paths {
                        assert!(path.verdict() > UNCHECKED, "{name}");
                    }
                }
            };
            // Allocations are counted while one of them, which never comes, is to fail. What exists
            // once for each read that had to be left to a worker may grow for a while yet.
            shim.set(Knob::FailAt, i64::MAX);
            let steady = (0..WINDOWS).any(|_| {
                shim.set(Knob::Allocations, 0);
                rounds(ROUNDS);
                shim.get(Knob::Allocations) == 0
            });
            assert!(
                steady,
                "{name}, era {}, goes on allocating",
                char::from(era)
            );
            for path in &mut paths {
                path.free();
            }
            // The counter works.
            let mut late = Checker::new(plugin, era, file.as_raw_fd(), 30);
            assert_eq!(late.init(), 0);
            assert!(
                shim.get(Knob::Allocations) > 0,
                "{name}: nothing is counted"
            );
            late.free();
            shim.set(Knob::FailAt, 0);
        }
    }
}

#[test]
fn checks_allocate_nothing() {
    alone("checks_allocate_nothing", Host::None, |shim| {
        allocates_nothing(shim, Plugin::load_for, b"BCD");
    });
}

#[test]
fn nor_do_their_log_lines() {
    alone("nor_do_their_log_lines", Host::C, |shim| {
        allocates_nothing(shim, |name, _| Plugin::load(name), b"C");
    });
}
