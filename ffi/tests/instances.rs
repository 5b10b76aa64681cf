// SPDX-License-Identifier: LGPL-2.0-or-later

//! The ABI must not change between the beginning and the end of an instance.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use checkers_core::memory::OutOfMemory;
use checkers_core::{
    Call, Checker, InitError, Initialized, MessageTable, PathState, Reported, Verdict,
};
use checkers_ffi::calls;
use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// What `libcheck_assume_abi` returned when it was called during `init`.
static ANSWER: AtomicI32 = AtomicI32::new(7);

/// A checker during whose `init` the host names another ABI.
struct Interrupted;

impl Checker for Interrupted {
    const NAME: &'static str = "interrupted";
    const MESSAGES: MessageTable = &[];

    type Shared = ();

    fn lock_shared() -> Result<(), OutOfMemory> {
        Ok(())
    }

    fn init(call: &Call) -> Initialized<Interrupted> {
        ANSWER.store(calls::assume_abi(c_int::from(b'B')), SeqCst);
        if call.fd < 0 {
            return Err(InitError::Unsuitable("no descriptor")).into();
        }
        Ok(Interrupted).into()
    }

    fn check(&mut self, _: &Call) -> Reported {
        Verdict::silent(PathState::Up).into()
    }

    fn pending(&mut self, _: &Call) -> Reported {
        Verdict::silent(PathState::Up).into()
    }

    fn need_wait(&self) -> bool {
        false
    }

    fn free(self, _: &Call) {}
}

#[test]
fn an_instance_counts_from_its_beginning() {
    assert_eq!(calls::assume_abi(c_int::from(b'C')), 0);
    // `struct checker` of 0.11, with values that 0.7.9's layout would read wrongly.
    let mut record = [0_u64; 6];
    let pointer = record.as_mut_ptr().cast();
    // SAFETY: a struct of the ABI that was named, used by this thread alone.
    assert_eq!(unsafe { calls::init::<Interrupted>(pointer) }, 0);
    assert_eq!(
        ANSWER.load(SeqCst),
        -1,
        "another ABI was accepted meanwhile"
    );
    // SAFETY: as above.
    unsafe { calls::free::<Interrupted>(pointer) };

    // A declined instance does not count.
    let mut record = [0_u64; 6];
    record[1] = 0xffff_ffff;
    let pointer = record.as_mut_ptr().cast();
    // SAFETY: as above.
    assert_eq!(unsafe { calls::init::<Interrupted>(pointer) }, 1);
    assert_eq!(ANSWER.load(SeqCst), -1);
    assert_eq!(calls::assume_abi(c_int::from(b'D')), 0);
}
