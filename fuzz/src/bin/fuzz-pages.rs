// SPDX-License-Identifier: LGPL-2.0-or-later

//! Feeds [`checkers_fuzz::pages`] from libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checkers_fuzz::pages::run(bytes));
