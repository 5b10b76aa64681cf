// SPDX-License-Identifier: LGPL-2.0-or-later

//! Properties that hold for any bytes: each module takes some and panics when one does not hold.
//!
//! | module | the bytes are |
//! |---|---|
//! | [`sense`] | one reply of a device |
//! | [`pages`] | a device's replies to all commands of one check, for each SCSI checker |
//! | [`calls`] | the contents of `struct checker`, an order of calls, and replies, for each checker |
//!
//! The bytes come from programs: `fuzz-*` with libFuzzer (`scripts/fuzz`), `random` with random numbers
//! (`scripts/endure random`, under AddressSanitizer).

pub mod calls;
mod input;
pub mod pages;
pub mod sense;

/// A function that takes bytes.
pub type Target = fn(&[u8]);

/// Every module, by name.
pub const TARGETS: [(&str, Target); 3] = [
    ("sense", sense::run),
    ("pages", pages::run),
    ("calls", calls::run),
];
