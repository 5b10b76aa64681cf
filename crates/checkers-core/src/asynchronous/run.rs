// SPDX-License-Identifier: LGPL-2.0-or-later

//! One run of a probe, shared by the path that wants it and the worker that executes it.
//!
//! A run works on copies (descriptor, time limit, memory) in a [`Slot`] that belongs to the path *and* to
//! the worker, so either may leave first. [`Stage`] says which of them has it: the one that leaves last
//! returns it to the cache.

#![forbid(unsafe_code)]

use super::descriptor::{self, Duplicate, NoDescriptor};
use super::pool::{Job, NoWorker, POOL};
use super::slot_cache::{self, SlotCache};
use super::spin::Spin;
use crate::memory::OutOfMemory;
use crate::probe::{Outcome, Probe, Task};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::time::{Duration, Instant};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, broken, lock};
use crate::{MapMemory, Seconds};
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Keeps the cache of a probe's slots locked.
pub struct HeldSlots<P: Probe>(
    #[expect(dead_code, reason = "held for its drop")] slot_cache::Held<Slot<P>>,
);

impl<P: Probe> HeldSlots<P> {
    pub(crate) fn new() -> Result<HeldSlots<P>, OutOfMemory> {
        Ok(HeldSlots(POOL.slots()?.hold()))
    }
}

/// What a command is sent to, and for how long.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) fd: RawFd,
    pub(crate) timeout: Seconds,
}

/// A probe to be executed.
pub(crate) struct Order<P: Probe> {
    pub(crate) target: Target,
    pub(crate) memory: P::Memory,
    pub(crate) map: MapMemory,
}

/// How a probe ended.
pub(crate) struct Ended<P: Probe> {
    pub(crate) outcome: Result<Outcome<P>, Panicked>,
    pub(crate) memory: P::Memory,
    /// The map's value if the probe has set it. A copy that it has only read must not be written back:
    /// while the probe ran, other paths of the map may have changed the value.
    pub(crate) map: Option<i32>,
}

/// The probe has panicked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panicked;

/// The stage of a run: which of path, queue and worker hold the slot.
enum Stage<P: Probe> {
    /// The path alone. The result of its last run has not been taken.
    Idle(Option<Ended<P>>),
    /// The path and the pool's queue, or a worker that has just taken the slot from there.
    Queued(Option<Order<P>>),
    /// The path and a worker. The order, if any, is the next one: the worker has not begun with it.
    Executing(Option<Order<P>>),
    /// A worker alone, or the queue and then a worker: the path has left.
    Abandoned,
}

/// The commands that prepare a path.
enum Setup<P: Probe> {
    /// There are none, or what they had to log has been taken.
    Settled,
    /// They have not been sent. They stay due without a thread or a descriptor for them.
    Due(Target),
    /// A worker sends them.
    InFlight,
    /// They have been sent.
    Ended(Option<P::LogRecord>),
}

/// A place for a run.
pub(crate) struct Slot<P: Probe> {
    /// Where the slot goes when neither path nor worker has it.
    cache: &'static SlotCache<Slot<P>>,
    run: Mutex<Run<P>>,
    ended: Condvar,
    /// No further command is to be sent.
    cancelled: AtomicBool,
    /// Whether a worker has the slot or will have it, for a host that spins without the lock: cleared a
    /// moment after `run` has changed.
    busy: AtomicBool,
}

struct Run<P: Probe> {
    stage: Stage<P>,
    setup: Setup<P>,
    /// A thread sleeps on [`Slot::ended`].
    awaited: bool,
}

/// Where a run stands, as its path sees it.
pub(crate) enum Progress<P: Probe> {
    /// No worker has begun with it.
    Queued,
    /// A worker sends commands.
    Executing,
    /// It has ended; `None` when no probe was executed.
    Ended(Option<Ended<P>>),
}

impl<P: Probe> Run<P> {
    const NEW: Run<P> = Run {
        stage: Stage::Idle(None),
        setup: Setup::Settled,
        awaited: false,
    };

    fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle(_))
    }
}

/// What a path does with its slot.
impl<P: Probe> Slot<P> {
    fn new(cache: &'static SlotCache<Slot<P>>) -> Slot<P> {
        Slot {
            cache,
            run: Mutex::new(Run::NEW),
            ended: Condvar::new(),
            cancelled: AtomicBool::new(false),
            busy: AtomicBool::new(false),
        }
    }

    /// A slot for the caller alone.
    pub(crate) fn claim() -> Result<&'static Slot<P>, OutOfMemory> {
        let slot = POOL.slots()?.take(Slot::new)?;
        slot.cancelled.store(false, Ordering::SeqCst);
        *lock(&slot.run) = Run::NEW;
        Ok(slot)
    }

    /// Gives the slot up, with a run in it or not. No command is begun after this has returned.
    pub(crate) fn abandon(&'static self) {
        self.cancel();
        let mut run = lock(&self.run);
        let free = match run.stage {
            Stage::Idle(_) => true,
            // With the lock held: otherwise the worker that has taken the slot from the queue finishes, and
            // the slot may be queued for another path by now.
            Stage::Queued(_) if !broken("withdrawn without the lock on the run") => {
                POOL.withdraw(self)
            }
            Stage::Queued(_) => {
                drop(run);
                let withdrawn = POOL.withdraw(self);
                run = lock(&self.run);
                withdrawn
            }
            _ => broken("a slot goes to the cache while a worker has it"),
        };
        run.stage = if free {
            Stage::Idle(None)
        } else {
            Stage::Abandoned
        };
        drop(run);
        if free {
            self.busy.store(false, Ordering::Relaxed);
            self.cache.put_back(self);
        }
    }

    /// Makes the run end before its next command.
    pub(crate) fn cancel(&self) {
        if !broken("a run is not cancelled") {
            self.cancelled.store(true, Ordering::SeqCst);
        }
    }

    /// Whether a worker has, or will have, anything to do with the slot.
    pub(crate) fn is_busy(&self) -> bool {
        !lock(&self.run).is_idle()
    }

    /// Orders the setup commands.
    pub(crate) fn start_setup(&'static self, target: Target) {
        let mut run = lock(&self.run);
        run.setup = Setup::Due(target);
        // Without a thread they stay due, and go before the first probe.
        let _ = self.queue(run, None);
    }

    /// Orders a probe, which goes after setup commands that are due or being sent.
    ///
    /// # Errors
    /// When the system gives no thread; the probe is not ordered then.
    pub(crate) fn start_probe(&'static self, order: Order<P>) -> Result<(), NoWorker> {
        self.cancelled.store(false, Ordering::SeqCst);
        let mut run = lock(&self.run);
        match &mut run.stage {
            Stage::Queued(next) | Stage::Executing(next) => *next = Some(order),
            Stage::Idle(_) | Stage::Abandoned => self.queue(run, Some(order))?,
        }
        Ok(())
    }

    fn queue(
        &'static self,
        mut run: MutexGuard<'_, Run<P>>,
        order: Option<Order<P>>,
    ) -> Result<(), NoWorker> {
        run.stage = Stage::Queued(order);
        self.busy.store(true, Ordering::Relaxed);
        drop(run);
        let submitted = POOL.submit(self);
        if submitted.is_err() {
            lock(&self.run).stage = Stage::Idle(None);
            self.busy.store(false, Ordering::Relaxed);
        }
        submitted
    }

    /// Takes the result of a run that has ended.
    pub(crate) fn progress(&self) -> Progress<P> {
        match &mut lock(&self.run).stage {
            Stage::Idle(ended) => Progress::Ended(ended.take()),
            Stage::Queued(_) => Progress::Queued,
            Stage::Executing(_) | Stage::Abandoned => Progress::Executing,
        }
    }

    /// Takes what the setup commands had to log, once they are over: `None` before.
    pub(crate) fn finished_setup(&self) -> Option<Option<P::LogRecord>> {
        let mut run = lock(&self.run);
        match run.setup {
            Setup::Due(_) | Setup::InFlight => None,
            Setup::Settled => Some(None),
            Setup::Ended(record) => {
                run.setup = Setup::Settled;
                Some(record)
            }
        }
    }

    /// Takes setup commands away that no worker has begun to send.
    pub(crate) fn take_setup(&self) -> Option<Target> {
        let mut run = lock(&self.run);
        let Setup::Due(target) = run.setup else {
            return None;
        };
        run.setup = Setup::Settled;
        Some(target)
    }

    /// Waits until no worker sends setup commands, without a limit.
    pub(crate) fn wait_for_setup(&self) {
        let mut run = lock(&self.run);
        while matches!(run.setup, Setup::InFlight) {
            run.awaited = true;
            run = self.ended.wait(run).unwrap_or_else(PoisonError::into_inner);
        }
        run.awaited = false;
    }

    /// Waits until the run has ended, for `limit` at most. A run that has not ended by then may hang: a worker
    /// is prepared for the next path.
    pub(crate) fn wait(&self, limit: Duration) {
        if !self.wait_for_end(limit) {
            POOL.prepare_spare();
        }
    }

    /// Returns whether the run has ended within `limit`.
    fn wait_for_end(&self, limit: Duration) -> bool {
        let start = Instant::now();
        let mut run = lock(&self.run);
        run.awaited = true;
        while !run.is_idle() {
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            let woken = self.ended.wait_timeout(run, left);
            run = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        run.awaited = false;
        run.is_idle()
    }

    /// Spins for a moment for the end of the run, unless spinning has not paid lately.
    pub(crate) fn spin(&self, spin: &Spin) {
        spin.until(|| !self.busy.load(Ordering::Acquire));
    }
}

/// What a worker does with a slot.
impl<P: Probe> Job for Slot<P> {
    fn run(&'static self) -> Option<&'static Condvar> {
        let mut copy = None;
        let mut run = self.begin();
        let mut ended = None;
        let mut sets_up = true;
        while !self.cancelled.load(Ordering::SeqCst) {
            let setup = match run.setup {
                Setup::Due(target) if sets_up => Some(target),
                _ => None,
            };
            if let Some(target) = setup {
                match descriptor::of_run(target.fd, &mut copy) {
                    Ok(fd) => run = self.set_up(run, Target { fd, ..target }),
                    // Setup commands may write. Without a descriptor of the run's own they stay due.
                    Err(NoDescriptor) => sets_up = false,
                }
            } else if let Some(order) = run.take_order() {
                let fd = order.target.fd;
                let fd = descriptor::of_run(fd, &mut copy).unwrap_or(fd);
                drop(run);
                if broken("a descriptor is closed before the command") {
                    copy = None;
                }
                ended = Some(self.probe(fd, order));
                run = lock(&self.run);
            } else {
                break;
            }
        }
        self.end(run, ended, copy)
    }
}

impl<P: Probe> Run<P> {
    /// The order that the worker has to begin with.
    fn take_order(&mut self) -> Option<Order<P>> {
        match &mut self.stage {
            Stage::Executing(next) => next.take(),
            Stage::Idle(_) | Stage::Queued(_) | Stage::Abandoned => None,
        }
    }
}

impl<P: Probe> Slot<P> {
    fn begin(&self) -> MutexGuard<'_, Run<P>> {
        let mut run = lock(&self.run);
        if let Stage::Queued(next) = &mut run.stage {
            run.stage = Stage::Executing(next.take());
        }
        run
    }

    /// Sends the setup commands, with the lock released meanwhile.
    fn set_up<'a>(
        &'a self,
        mut run: MutexGuard<'a, Run<P>>,
        Target { fd, timeout }: Target,
    ) -> MutexGuard<'a, Run<P>> {
        run.setup = Setup::InFlight;
        drop(run);
        let task = Task::new(fd, timeout, (), MapMemory::Absent, &self.cancelled);
        let record = catch_unwind(AssertUnwindSafe(|| P::setup(&task)));
        let mut run = lock(&self.run);
        run.setup = Setup::Ended(record.unwrap_or_default());
        if run.awaited && !broken("the end of the setup is not signalled") {
            // The path may wait for the setup alone.
            self.ended.notify_all();
        }
        run
    }

    fn probe(&self, fd: RawFd, order: Order<P>) -> Ended<P> {
        let timeout = order.target.timeout;
        let mut task = Task::new(fd, timeout, order.memory, order.map, &self.cancelled);
        let outcome = catch_unwind(AssertUnwindSafe(|| P::probe(&mut task)));
        Ended {
            outcome: outcome.map_err(|_| Panicked),
            memory: task.memory,
            map: task.new_map(),
        }
    }

    /// Leaves the slot to its path, or returns it to the cache. Returns what to signal.
    fn end(
        &'static self,
        mut run: MutexGuard<'_, Run<P>>,
        ended: Option<Ended<P>>,
        copy: Option<Duplicate>,
    ) -> Option<&'static Condvar> {
        let abandoned = matches!(run.stage, Stage::Abandoned);
        let awaited = run.awaited;
        run.stage = Stage::Idle(ended);
        drop(run);
        // The path may have the slot queued again from here on. So `busy` may be cleared before the new run
        // has ended, and the thread woken below may wait for that one: both read the stage.
        self.busy.store(false, Ordering::Release);
        if abandoned || broken("a slot is put back twice") {
            self.cache.put_back(self);
        }
        // After the result has been published: closing may wait, if the host has closed its descriptor.
        drop(copy);
        (!abandoned && awaited).then_some(&self.ended)
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;
