// SPDX-License-Identifier: LGPL-2.0-or-later

//! Static thread-local storage lies on every thread's stack: however much of it a process has, a worker
//! keeps the stack that it needs.

use crate::isolated::*;
use crate::path::*;
use crate::system::*;
use harness::abi::Abi;
use harness::state::State;

/// What sizes of it are tried: from where a fixed stack of 28 KiB overflows, to where the C library
/// refuses it, and far beyond.
const SIZES: [usize; 6] = [0, 18_500, 20_000, 22_000, 23_000, 1_000_000];

/// Tells the test's process which size it has.
const SCENE: &str = "CHECKERS_TEST_TLS";

/// In a process with this much thread-local storage: every SCSI checker does its work.
fn with_storage(sizes: &[usize], extra: &str, wanted: fn(&[String])) {
    let inside = std::env::var(SCENE).ok();
    for size in sizes {
        if inside
            .as_ref()
            .is_some_and(|scene| *scene != size.to_string())
        {
            continue;
        }
        let source = format!(
            "__thread char storage[{}] __attribute__((tls_model(\"initial-exec\")));
             char *use(void) {{ return storage; }}
             {extra}",
            size.max(&1)
        );
        let prepare = |command: &mut std::process::Command| {
            preload(command, &compile_c("libstorage.so", &source, &[]));
            command.env(SCENE, size.to_string());
        };
        isolated_with(Some(Abi::V0_11), prepare, |system| {
            system.set(Setting::Scsi, 2);
            for &checker in SCSI {
                let plugin = Loaded::open(checker);
                let mut path = Path::new(&plugin, Abi::V0_11, 0, 30);
                assert_eq!(path.init(), 0);
                let mut state = State::UNCHECKED;
                // cciss_tur has its own idea of a good device.
                for _ in 0..3 {
                    state = path.verdict();
                }
                assert_ne!(state, State::UNCHECKED, "{checker}: {:?}", system.lines());
                path.free();
                plugin.reset();
            }
            wanted(&system.lines());
        });
        remove_c_objects();
    }
}

#[test]
fn workers_have_their_stack_beside_it() {
    with_storage(&SIZES, "", |lines| {
        assert!(
            !lines.iter().any(|line| line.contains("stack")),
            "{lines:?}"
        )
    });
}

/// Some C libraries do not report the size, and refuse a stack that is too small.
#[test]
fn a_refused_stack_size_is_tried_again_with_the_default_one() {
    with_storage(
        &[23_000, 1_000_000],
        "unsigned long __pthread_get_minstack(void *a) { return a ? 0 : 0; }",
        |lines| {
            let said = lines.iter().filter(|line| line.contains("stack"));
            assert_eq!(said.count(), SCSI.len(), "one of each plugin: {lines:?}");
        },
    );
}
