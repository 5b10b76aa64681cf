//! The era must not change from when an instance is begun to when it has ended.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use checkers_core::{
    Call, Checker, InitError, Initialized, MessageTable, PathState, Reported, Verdict,
};
use checkers_ffi::calls;
use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// What `libcheck_assume_abi` answered when it was called in the middle of `init`.
static ANSWER: AtomicI32 = AtomicI32::new(7);

/// Another thread of the host names another era while the instance is being made.
struct Interrupted;

impl Checker for Interrupted {
    const NAME: &'static str = "interrupted";
    const MESSAGES: MessageTable = &[];

    type Shared = ();

    fn lock_shared() {}

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
    // `struct checker` of era C, filled with what era B would read wrongly.
    let mut record = [0_u64; 6];
    let pointer = record.as_mut_ptr().cast();
    // SAFETY: a struct of the era that was named, used by this thread alone.
    assert_eq!(unsafe { calls::init::<Interrupted>(pointer) }, 0);
    assert_eq!(ANSWER.load(SeqCst), -1, "another era was taken meanwhile");
    // SAFETY: as above.
    unsafe { calls::free::<Interrupted>(pointer) };

    // One that was declined counts no more.
    let mut record = [0_u64; 6];
    record[1] = 0xffff_ffff;
    let pointer = record.as_mut_ptr().cast();
    // SAFETY: as above.
    assert_eq!(unsafe { calls::init::<Interrupted>(pointer) }, 1);
    assert_eq!(ANSWER.load(SeqCst), -1);
    assert_eq!(calls::assume_abi(c_int::from(b'D')), 0);
}
