// SPDX-License-Identifier: LGPL-2.0-or-later

//! The system's quota of AIO events, `fs.aio-nr`.

#![forbid(unsafe_code)]

use harness::{Doing, Result, Trouble};
use std::time::{Duration, Instant};

/// How long the kernel may take to return the events of a context.
const SOON: Duration = Duration::from_secs(10);

/// How many events all AIO contexts of the system together have room for.
///
/// # Errors
/// When the kernel does not say.
pub(crate) fn used() -> Result<u64> {
    let path = "/proc/sys/fs/aio-nr";
    let text = std::fs::read_to_string(path).doing(path)?;
    let number = text.trim().parse();
    number.map_err(|_| Trouble::Broken(format!("{path}: {text:?}")))
}

/// Waits until the quota is back where it was `before`.
///
/// # Errors
/// When it stays used up although no process has a context.
pub(crate) fn returns_to(before: u64) -> Result<String> {
    let start = Instant::now();
    loop {
        let now = used()?;
        if now <= before {
            return Ok(format!("aio-nr {before} again"));
        }
        if start.elapsed() > SOON {
            // That the contexts of the test host are gone is checked by its own memory mappings.
            return match any_process_has_contexts() {
                true => Ok(format!("aio-nr {now}, other processes have contexts")),
                false => Err(Trouble::Broken(format!(
                    "aio-nr was {before} and stays {now}"
                ))),
            };
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn any_process_has_contexts() -> bool {
    let mut processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.any(|process| {
        let maps = std::fs::read_to_string(process.path().join("maps"));
        maps.is_ok_and(|maps| maps.contains("[aio]"))
    })
}
