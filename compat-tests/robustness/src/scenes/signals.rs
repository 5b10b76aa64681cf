// SPDX-License-Identifier: LGPL-2.0-or-later

//! A signal every 100 µs, which interrupts system calls.

use super::{Counts, ok_if, one_check};
use crate::path::{Host, Target};
use harness::Result;
use harness::state::State;
use std::ffi::c_int;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

static SIGNALS: AtomicU64 = AtomicU64::new(0);

extern "C" fn count_signal(_: c_int) {
    SIGNALS.fetch_add(1, Relaxed);
}

pub(super) fn run(host: &Host, count: u32) -> Result<String> {
    // SAFETY: the action is initialised; without SA_RESTART, so that calls are interrupted.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count_signal as extern "C" fn(c_int) as usize;
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
    }
    signal_every(100);
    let mut verdicts = Counts::default();
    // Reads of a file take microseconds.
    let checks = if host.reads { count * 20 } else { count };
    for round in 0..checks {
        let sync = round % 2 == 1;
        harness::host::set_sync(sync);
        let target = match round % 8 {
            6 | 7 => Target::Slow,
            4 | 5 if !sync => Target::Deferred,
            _ => Target::Up,
        };
        match one_check(host, target)? {
            State::UP => verdicts.add(State::UP),
            state => verdicts.add(format!("{state} (sync: {sync}, {target:?})")),
        }
    }
    signal_every(0);
    let signals = SIGNALS.load(Relaxed);
    let text = format!("{:?} with {signals} signals", verdicts.0);
    ok_if(verdicts.all_are("up"), text)
}

fn signal_every(micros: i64) {
    let span = libc::timeval {
        tv_sec: 0,
        tv_usec: micros,
    };
    let timer = libc::itimerval {
        it_interval: span,
        it_value: span,
    };
    // SAFETY: reads one itimerval of this frame.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}
