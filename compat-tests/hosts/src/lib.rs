// SPDX-License-Identifier: LGPL-2.0-or-later

//! Test hosts: one executable per ABI, which exports what that ABI's libmultipath exports, and for
//! each suite a role. The first argument names the role.
//!
//! | executable | multipath-tools |
//! |---|---|
//! | `host-0-7-9` | 0.7.9 to 0.8.5 |
//! | `host-0-8-6` | 0.8.6 to 0.10.x |
//! | `host-0-11` | 0.11.0 to 0.13.x |
//! | `host-0-14` | 0.14.x |
//! | `host-0-15` | 0.15.0 and later |
//! | `host-none` | a host that is not linked to libmultipath |
//!
//! All but the last also replace functions of the C library ([`harness::interpose`]); `host-none`
//! replaces only those that devices need, since sanitizers and valgrind replace the others.
#![forbid(unsafe_code)]

use harness::process::HostKind;
use std::process::ExitCode;

/// The `main` of a host executable.
pub fn main(kind: HostKind) -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    match role.as_str() {
        "bench" => bench::host::main(kind.abi()),
        "directio" => differential::directio::host::main(),
        "scsi" => differential::scsi::host_main(arguments),
        "races" => robustness::races::main(),
        "scenes" => robustness::scenes::main(kind.abi()),
        "shortage" => robustness::refusals::main(kind.abi()),
        "symbols" => {
            println!("{}", harness::host::visible().join(" "));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{}: no role {role:?}", kind.executable());
            ExitCode::from(2)
        }
    }
}
