// SPDX-License-Identifier: LGPL-2.0-or-later
//! Prints the size of `struct checker` and the offsets of its members, a line each, for the release
//! in the argument: 0.7.9, 0.11 or 0.15.

#![forbid(unsafe_code)]

use checkers_ffi::{Abi, Layout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let layout = match std::env::args().nth(1).as_deref() {
        Some("0.7.9") => Layout::of(Abi::V0_7_9),
        Some("0.11") => Layout::of(Abi::V0_11),
        Some("0.15") => Layout::of(Abi::V0_15),
        _ => {
            eprintln!("usage: print_layout 0.7.9|0.11|0.15");
            return ExitCode::from(2);
        }
    };
    println!("size {}", layout.size());
    for (member, offset) in layout.members() {
        println!("{member} {offset}");
    }
    ExitCode::SUCCESS
}
