// SPDX-License-Identifier: LGPL-2.0-or-later

//! Each host executable shows plugins the symbols of its ABI and no others.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use std::process::Command;

fn visible(executable: &str) -> String {
    let output = Command::new(executable).arg("symbols").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn hosts_export_what_their_releases_export() {
    let basics = "checker_is_sync dlog libmp_verbosity";
    for (executable, symbols) in [
        (
            env!("CARGO_BIN_EXE_host-0-7-9"),
            "checker_is_sync checker_check dlog logsink".to_owned(),
        ),
        (
            env!("CARGO_BIN_EXE_host-0-8-6"),
            format!("{basics} start_checker_thread"),
        ),
        (
            env!("CARGO_BIN_EXE_host-0-11"),
            format!("{basics} start_checker_thread checker_need_wait"),
        ),
        (
            env!("CARGO_BIN_EXE_host-0-14"),
            format!("{basics} start_checker_thread checker_need_wait mt_udev_ref"),
        ),
        (
            env!("CARGO_BIN_EXE_host-0-15"),
            format!("{basics} checker_need_wait mt_udev_ref get_runner"),
        ),
        (env!("CARGO_BIN_EXE_host-none"), String::new()),
    ] {
        assert_eq!(visible(executable), symbols, "{executable}");
    }
}
