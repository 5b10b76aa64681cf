// SPDX-License-Identifier: LGPL-2.0-or-later
//! Programs of the guest's tree.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs a program.
///
/// # Errors
/// When it cannot be started or fails; with its standard error.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| program.to_owned())?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        stderr.trim()
    );
    Ok(())
}

/// Waits until udev has processed all events.
pub(super) fn settle_udev() -> Result<()> {
    run("udevadm", &["settle", "--timeout=120"])
}
