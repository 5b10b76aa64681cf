// SPDX-License-Identifier: LGPL-2.0-or-later

//! What is set up once per process, on a thread of the host.

#![forbid(unsafe_code)]

use super::{attributes, log, panic_hook, threads};
use std::sync::Once;

/// Sets up the panic hook, the log, and the threads of the pool.
pub(super) fn prepare() {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        panic_hook::install();
        log::install();
        attributes::prepare();
        checkers_core::pool::set_spawner(threads::spawn);
        if threads::processors() > 1 {
            checkers_core::spin::allow();
        }
    });
}
