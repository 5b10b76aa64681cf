// SPDX-License-Identifier: LGPL-2.0-or-later

//! The AIO contexts of this process, seen from outside the plugin that made them.
//!
//! The kernel maps every context's completion ring into the process; the head of the ring says how
//! many completions wait there. Both are known without the plugin's help: how many
//! contexts it holds, and whether the completion of a request has arrived.
#![forbid(unsafe_code)]

use crate::{Doing, Result, Trouble};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// The magic number of a mapped ring (`struct aio_ring` of the kernel).
const MAGIC: u32 = 0xa10a_10a1;

/// The contexts of the process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rings {
    /// How many contexts there are.
    pub contexts: usize,
    /// How many completions that no thread has taken.
    pub unread: u64,
}

/// The size of a page of memory.
pub fn page_size() -> usize {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    let size = size
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok());
    size.unwrap_or(4096)
}

/// Inspects all contexts of this process.
///
/// A plugin may end a context at any moment, on a thread of its own, and its ring with it; so the
/// memory is read through the kernel, where what is gone is an error and not a fault.
///
/// # Errors
/// When the process's mappings cannot be read, or one has another form.
pub fn inspect() -> Result<Rings> {
    let maps = std::fs::read_to_string("/proc/self/maps").doing("reading /proc/self/maps")?;
    let memory = File::open("/proc/self/mem").doing("opening /proc/self/mem")?;
    let mut rings = Rings::default();
    for line in maps.lines().filter(|line| line.contains("/[aio]")) {
        let start = line.split('-').next().unwrap_or_default();
        let Ok(start) = u64::from_str_radix(start, 16) else {
            continue;
        };
        // The ring begins with its id, its size in events, its head, its tail and the magic number.
        let mut words = [0_u8; 20];
        if memory.read_exact_at(&mut words, start).is_err() {
            continue;
        }
        let [_, size, head, tail, magic] = [0, 1, 2, 3, 4].map(|word: usize| {
            words
                .get(4 * word..4 * word + 4)
                .and_then(|bytes| bytes.try_into().ok())
                .map_or(0, u32::from_ne_bytes)
        });
        if magic != MAGIC || size == 0 {
            return Err(Trouble::Broken("an AIO ring of an unknown form".to_owned()));
        }
        rings.contexts += 1;
        rings.unread += u64::from((tail + size - head) % size);
    }
    Ok(rings)
}

/// Waits until `count` completions that no thread has taken are there.
///
/// # Errors
/// When they do not come within ten seconds.
pub fn await_unread(count: u64) -> Result<()> {
    let start = Instant::now();
    loop {
        let unread = inspect()?.unread;
        if unread >= count {
            return Ok(());
        }
        if start.elapsed() > Duration::from_secs(10) {
            return Err(Trouble::Broken(format!(
                "{unread} of {count} completions came within ten seconds"
            )));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
