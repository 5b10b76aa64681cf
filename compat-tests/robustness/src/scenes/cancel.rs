// SPDX-License-Identifier: LGPL-2.0-or-later

//! Threads of the host are cancelled, wherever they are.

use super::is_up;
use crate::path::{Host, LIMIT, Path, SOON, Target};
use harness::state::State;
use harness::{Doing, Result};
use std::ffi::{c_int, c_void};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

unsafe extern "C-unwind" {
    /// POSIX: where a thread that is cancelled ends.
    fn pthread_testcancel();
}

unsafe extern "C" {
    fn pthread_cancel(thread: libc::pthread_t) -> c_int;
}

/// What a thread that is cancelled works on.
struct Victim<'a> {
    path: Path<'a>,
    calls: AtomicU64,
}

/// Checks until it is cancelled. Nothing here has a destructor: a cancelled thread is unwound.
extern "C-unwind" fn check_until_cancelled(victim: *mut c_void) -> *mut c_void {
    let victim = victim.cast::<Victim<'_>>();
    loop {
        // SAFETY: no other thread uses it before this one has ended.
        unsafe {
            (*victim).path.call_bare();
            (*victim).calls.fetch_add(1, SeqCst);
            pthread_testcancel();
        }
    }
}

pub(super) fn run(host: &Host, count: u32) -> Result<String> {
    let mut calls = 0;
    for round in 0..count {
        let target = match round % 4 {
            3 => Target::Slow,
            _ => Target::Up,
        };
        let mut victim = Victim {
            path: Path::with_checker(host, target, LIMIT)?,
            calls: AtomicU64::new(0),
        };
        cancel_within(&mut victim, Duration::from_micros(20) * (round % 50))?;
        calls += victim.calls.load(SeqCst);
        // The thread may have left a check in flight.
        let mut state = victim.path.collect()?;
        if state != State::UP {
            state = victim.path.verdict(SOON)?;
        }
        is_up(state)?;
        victim.path.free()?;
    }
    Ok(format!(
        "{count} threads cancelled after {calls} calls, every path is up"
    ))
}

/// Starts a thread and cancels it after this time.
fn cancel_within(victim: &mut Victim<'_>, span: Duration) -> Result<()> {
    type Unwinds = extern "C-unwind" fn(*mut c_void) -> *mut c_void;
    type Start = extern "C" fn(*mut c_void) -> *mut c_void;
    let mut thread: libc::pthread_t = 0;
    let place = std::ptr::from_mut(victim).cast();
    // SAFETY: the types differ in whether the function may unwind, which the C library does with it; the
    // victim outlives the thread, which is joined.
    unsafe {
        let start = std::mem::transmute::<Unwinds, Start>(check_until_cancelled);
        let code = libc::pthread_create(&raw mut thread, std::ptr::null(), start, place);
        if code != 0 {
            return Err(std::io::Error::from_raw_os_error(code)).doing("pthread_create");
        }
        std::thread::sleep(span);
        pthread_cancel(thread);
        libc::pthread_join(thread, std::ptr::null_mut());
    }
    Ok(())
}
