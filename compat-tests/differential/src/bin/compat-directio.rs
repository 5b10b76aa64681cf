// SPDX-License-Identifier: LGPL-2.0-or-later

//! Compares our directio plugin with the one of a multipath-tools release.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    differential::directio::suite::main()
}
