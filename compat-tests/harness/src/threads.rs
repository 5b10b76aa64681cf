// SPDX-License-Identifier: LGPL-2.0-or-later

//! The other threads of this process.

use crate::{Doing, Result, Trouble};
use std::time::{Duration, Instant};

/// Waits until all of them sleep: whatever they still have to do waits for something outside.
///
/// # Errors
/// When that takes longer than ten seconds.
pub fn rest() -> Result<()> {
    let start = Instant::now();
    while !all_sleep()? {
        if start.elapsed() > Duration::from_secs(10) {
            return Err(Trouble::Broken("a thread never rests".to_owned()));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

fn all_sleep() -> Result<bool> {
    // SAFETY: gettid has no precondition.
    let me = unsafe { libc::gettid() }.to_string();
    for task in std::fs::read_dir("/proc/self/task").doing("/proc/self/task")? {
        let task = task.doing("/proc/self/task")?;
        if task.file_name().to_str() == Some(&me) {
            continue;
        }
        // A thread that has ended meanwhile has no state.
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        if stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('R'))
        {
            return Ok(false);
        }
    }
    Ok(true)
}
