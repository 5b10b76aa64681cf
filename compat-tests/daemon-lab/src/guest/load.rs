//! I/O through the multipath map: verified writes and reads that must never fail.
//!
//! A block holds its number and the count of the write, repeated: what is read back proves which
//! write it comes from. O_DIRECT, so that every operation reaches a path.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;

const BLOCK: usize = 4096;
/// Blocks in use: 16 MiB of the disk.
const BLOCKS: u64 = 4096;
const PAUSE: Duration = Duration::from_millis(20);

#[repr(align(4096))]
struct Block([u8; BLOCK]);

pub(super) struct Load {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    pause: AtomicBool,
    ended: AtomicBool,
    verified: AtomicU64,
    /// Begin of the operation that is under way and the longest one that has ended.
    timing: Mutex<(Option<Instant>, Duration)>,
    trouble: Mutex<Vec<String>>,
}

/// What the load has seen.
pub(super) struct Outcome {
    /// False if the last operation has not come back.
    pub(super) ended: bool,
    /// Blocks written, read back and found right.
    pub(super) verified: u64,
    pub(super) slowest: Duration,
    pub(super) trouble: Vec<String>,
}

impl Load {
    pub(super) fn start(device: &str) -> Result<Load> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_DIRECT.bits())
            .open(device)
            .with_context(|| device.to_owned())?;
        let shared = Arc::new(Shared::default());
        let thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            thread.run(&file);
            thread.ended.store(true, Ordering::Release);
        });
        Ok(Load { shared })
    }

    /// Starts no further operation while `pause` holds.
    pub(super) fn pause(&self, pause: bool) {
        self.shared.pause.store(pause, Ordering::Relaxed);
    }

    /// Blocks verified so far.
    pub(super) fn verified(&self) -> u64 {
        self.shared.verified.load(Ordering::Relaxed)
    }

    /// Ends the load, waiting no longer than `limit` for the last operation.
    pub(super) fn stop(self, limit: Duration) -> Outcome {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ended = super::wait_until(limit, || self.shared.ended.load(Ordering::Acquire));
        let (running, longest) = self
            .shared
            .timing
            .lock()
            .map(|timing| *timing)
            .unwrap_or_default();
        Outcome {
            ended,
            verified: self.verified(),
            slowest: longest.max(running.map_or(Duration::ZERO, |begin| begin.elapsed())),
            trouble: self
                .shared
                .trouble
                .lock()
                .map(|t| t.clone())
                .unwrap_or_default(),
        }
    }
}

impl Shared {
    fn run(&self, file: &File) {
        let mut block = Box::new(Block([0; BLOCK]));
        for count in 1_u64.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(PAUSE);
            if self.pause.load(Ordering::Relaxed) {
                continue;
            }
            // A stride that visits every block before it comes back to the first.
            let number = count.wrapping_mul(1021) % BLOCKS;
            match self.round(file, &mut block, number, count) {
                Ok(()) => {
                    self.verified.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    if let Ok(mut trouble) = self.trouble.lock() {
                        trouble.push(format!("block {number}: {error:#}"));
                    }
                }
            }
        }
    }

    /// Writes one block, reads it back and compares.
    fn round(&self, file: &File, block: &mut Block, number: u64, count: u64) -> Result<()> {
        let offset = number * BLOCK as u64;
        fill(block, number, count);
        self.timed(|| file.write_all_at(&block.0, offset))
            .context("write")?;
        block.0.fill(0);
        self.timed(|| file.read_exact_at(&mut block.0, offset))
            .context("read")?;
        if !holds(block, number, count) {
            bail!("read back something else than was written");
        }
        Ok(())
    }

    fn timed<T>(&self, operation: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
        let begin = Instant::now();
        if let Ok(mut timing) = self.timing.lock() {
            timing.0 = Some(begin);
        }
        let result = operation();
        if let Ok(mut timing) = self.timing.lock() {
            *timing = (None, timing.1.max(begin.elapsed()));
        }
        result
    }
}

fn pattern(number: u64, count: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes
        .iter_mut()
        .zip(number.to_le_bytes().into_iter().chain(count.to_le_bytes()))
    {
        *to = from;
    }
    bytes
}

fn fill(block: &mut Block, number: u64, count: u64) {
    let pattern = pattern(number, count);
    for chunk in block.0.chunks_exact_mut(pattern.len()) {
        chunk.copy_from_slice(&pattern);
    }
}

fn holds(block: &Block, number: u64, count: u64) -> bool {
    let pattern = pattern(number, count);
    block
        .0
        .chunks_exact(pattern.len())
        .all(|chunk| chunk == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_an_older_write_or_another_place_is_found_out() {
        let mut block = Block([0; BLOCK]);
        fill(&mut block, 7, 9);
        assert!(holds(&block, 7, 9));
        assert!(!holds(&block, 7, 8));
        assert!(!holds(&block, 8, 9));
        block.0[BLOCK - 1] ^= 1;
        assert!(!holds(&block, 7, 9));
    }
}
