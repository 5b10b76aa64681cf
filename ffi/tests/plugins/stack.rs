// SPDX-License-Identifier: LGPL-2.0-or-later

//! How deep the plugins' stacks go: multipathd's checker thread has 64 KiB, and the workers that run
//! the probes have less than half of that. In synchronous mode a probe runs on the caller's stack, so a host's
//! thread shows both.

use crate::isolated::*;
use crate::path::*;
use crate::system::*;
use harness::abi::Abi;
use std::ffi::c_void;
use std::os::fd::AsRawFd;

const SIZE: usize = 256 * 1024;
const PAINT: u8 = 0xc5;

/// What is left for the C library's own use of a thread of 64 KiB (its thread block, the guard page,
/// the host's frames), and for a kernel's signal frame.
const LIMIT: usize = 40 * 1024;

/// The same for a worker of 28 KiB, with room for the message of a panic.
const WORKER_LIMIT: usize = 16 * 1024;

extern "C" fn use_path(checker: *mut c_void) -> *mut c_void {
    if !checker.is_null() {
        // SAFETY: `depth` passes a checker and waits for this thread.
        let checker = unsafe { &mut *checker.cast::<Path>() };
        for _ in 0..5 {
            checker.complete_use();
        }
    }
    std::ptr::null_mut()
}

/// The number of bytes of its stack that a thread touches while it uses a path.
fn depth(checker: Option<&mut Path>) -> usize {
    let mut stack = vec![PAINT; SIZE + 4096];
    let unaligned = stack.as_ptr().align_offset(4096);
    let stack = &mut stack[unaligned..][..SIZE];
    let argument = checker.map_or(std::ptr::null_mut(), |checker| (&raw mut *checker).cast());
    // SAFETY: the attributes are initialised before use; the stack is ours until the thread has been
    // joined.
    unsafe {
        let mut attributes = std::mem::zeroed();
        assert_eq!(libc::pthread_attr_init(&mut attributes), 0);
        let place = stack.as_mut_ptr().cast();
        assert_eq!(libc::pthread_attr_setstack(&mut attributes, place, SIZE), 0);
        let mut thread = 0;
        assert_eq!(
            libc::pthread_create(&mut thread, &attributes, use_path, argument),
            0
        );
        assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
    }
    SIZE - stack.iter().position(|byte| *byte != PAINT).unwrap()
}

#[test]
fn no_call_needs_more_than_a_checker_thread_has() {
    isolated(Some(Abi::V0_11), |system| {
        let file = file();
        let nothing = depth(None);
        for &name in ALL {
            let plugin = Loaded::open(name);
            let mut deepest = 0;
            for sync in [0, 1] {
                for scsi in [2, 3] {
                    system.set(Setting::Sync, sync);
                    system.set(Setting::Scsi, scsi);
                    let mut checker = Path::new(&plugin, Abi::V0_11, file.as_raw_fd(), 30);
                    deepest = deepest.max(depth(Some(&mut checker)) - nothing);
                }
            }
            println!("{name}: {deepest} bytes");
            assert!(deepest > 500, "nothing was measured");
            // directio's workers make system calls that need no stack to speak of.
            let limit = if SCSI.contains(&name) {
                WORKER_LIMIT
            } else {
                LIMIT
            };
            assert!(deepest < limit, "{name}: {deepest} bytes");
        }
    });
}
