// SPDX-License-Identifier: LGPL-2.0-or-later

//! Synchronisation, threads and time: those of std, or under `cfg(shuttle)` those of a model checker that
//! explores schedules (see `scripts/model`).
//!
//! Code that is to be model-checked takes every lock, condition variable, atomic, thread and clock from
//! here, and declares its statics with [`process_static!`](crate::process_static).

#![forbid(unsafe_code)]

#[cfg(not(shuttle))]
mod real;
#[cfg(not(shuttle))]
pub use real::*;

#[cfg(shuttle)]
pub mod model;
#[cfg(shuttle)]
pub use model::*;

pub use std::sync::PoisonError;

/// Locks `mutex`. A panic while it was held is not a reason to stop: no invariant of this crate is
/// broken between two statements, and the daemon has to go on.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Declares a static with interior mutability. Under `cfg(shuttle)` every schedule begins with a new one.
#[cfg(not(shuttle))]
#[macro_export]
macro_rules! process_static {
    ($(#[$attribute:meta])* $visibility:vis static $NAME:ident: $Type:ty = $value:expr;) => {
        $(#[$attribute])* $visibility static $NAME: $Type = $value;
    };
}

/// Declares a static with interior mutability, made anew for every schedule.
#[cfg(shuttle)]
#[macro_export]
macro_rules! process_static {
    ($(#[$attribute:meta])* static $($rest:tt)*) => {
        $crate::process_static!(@ { $(#[$attribute])* } static $($rest)*);
    };
    ($(#[$attribute:meta])* pub static $($rest:tt)*) => {
        $crate::process_static!(@ { $(#[$attribute])* pub } static $($rest)*);
    };
    ($(#[$attribute:meta])* pub($($place:tt)+) static $($rest:tt)*) => {
        $crate::process_static!(@ { $(#[$attribute])* pub($($place)+) } static $($rest)*);
    };
    (@ { $($before:tt)* } static $NAME:ident: $Type:ty = $value:expr;) => {
        $crate::sync::shuttle::lazy_static! {
            $($before)* static ref $NAME: $Type = $value;
        }
    };
}
