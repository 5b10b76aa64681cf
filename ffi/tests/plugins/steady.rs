// SPDX-License-Identifier: LGPL-2.0-or-later

//! What goes on for ever must not need memory: after a path's first checks, no further one allocates.

use crate::isolated::*;
use crate::path::*;
use crate::system::*;
use harness::abi::Abi;
use harness::state::State;
use std::os::fd::AsRawFd;

const PATHS: i64 = 8;

/// How many rounds go without an allocation in the end, and after how many times that, at most.
const ROUNDS: usize = 40;
const WINDOWS: usize = 8;

fn allocates_nothing(system: System, load: fn(&str, Abi) -> Loaded, abis: &[Abi]) {
    system.set(Setting::Scsi, 2);
    let file = file();
    for &name in ALL {
        for &abi in abis {
            let plugin = load(name, abi);
            let mut paths: Vec<_> = (0..PATHS)
                .map(|_| Path::new(&plugin, abi, file.as_raw_fd(), 30))
                .collect();
            for path in &mut paths {
                assert_eq!(path.init(), 0, "{name}");
            }
            // As many workers as the paths can ever keep busy. They stay for ten seconds.
            if SCSI.contains(&name) {
                system.set(Setting::Scsi, 1);
                for path in &mut paths {
                    path.check();
                }
                within(|| system.get(Setting::ScsiInside) == PATHS);
                system.set(Setting::Scsi, 2);
            }
            let mut rounds = |count| {
                for _ in 0..count {
                    for path in &mut paths {
                        path.round();
                    }
                    for path in &mut paths {
                        assert!(path.verdict() > State::UNCHECKED, "{name}");
                    }
                }
            };
            // Allocations are counted while one of them, which never comes, is to fail. What exists
            // once for each read that had to be left to a worker may grow for a while yet.
            system.set(Setting::FailAt, i64::MAX);
            let steady = (0..WINDOWS).any(|_| {
                system.set(Setting::Allocations, 0);
                rounds(ROUNDS);
                system.get(Setting::Allocations) == 0
            });
            assert!(steady, "{name}, abi {}, goes on allocating", abi);
            for path in &mut paths {
                path.free();
            }
            // The counter works.
            let mut late = Path::new(&plugin, abi, file.as_raw_fd(), 30);
            assert_eq!(late.init(), 0);
            assert!(
                system.get(Setting::Allocations) > 0,
                "{name}: nothing is counted"
            );
            late.free();
            system.set(Setting::FailAt, 0);
        }
    }
}

#[test]
fn checks_allocate_nothing() {
    isolated(None, |system| {
        allocates_nothing(system, Loaded::assuming, &ABIS);
    });
}

#[test]
fn nor_do_their_log_lines() {
    isolated(Some(Abi::V0_11), |system| {
        allocates_nothing(system, |name, _| Loaded::open(name), &[Abi::V0_11]);
    });
}
