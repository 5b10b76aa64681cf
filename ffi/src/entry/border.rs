// SPDX-License-Identifier: LGPL-2.0-or-later

//! The border between a host's call and Rust code: neither a panic nor a cancellation crosses it.

#![forbid(unsafe_code)]

use super::cancel::CancelDisabled;
use crate::host::{log as host_log, threads};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the body of an exported function and returns its result, or `fallback` after a panic, which is
/// logged with `name`. The calling thread is not cancelled meanwhile.
pub fn enter<T>(name: &'static str, fallback: T, body: impl FnOnce() -> T) -> T {
    let _uncancellable = CancelDisabled::new();
    host_log::follow_verbosity();
    threads::report();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        // Dropping the payload may panic as well.
        std::mem::forget(payload);
        let _ = catch_unwind(|| log::error!("{name} checker: internal error, call abandoned"));
        fallback
    })
}

#[cfg(test)]
mod tests {
    use super::super::cancel::{PTHREAD_CANCEL_DISABLE, cancel_state};
    use super::*;

    #[test]
    fn a_panic_becomes_the_fallback_and_the_state_is_restored() {
        let before = cancel_state();
        assert_eq!(enter("test", 7, || panic!("on purpose")), 7);
        assert_eq!(cancel_state(), before);
        assert_eq!(enter("test", 0, cancel_state), PTHREAD_CANCEL_DISABLE);
        assert_eq!(cancel_state(), before);
    }
}
