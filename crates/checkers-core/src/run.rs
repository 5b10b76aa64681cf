//! One run of a probe, shared by the path that wants it and the worker that executes it.
//!
//! A run works on copies (descriptor, time limit, memory) in a [`Slot`] that belongs to the path *and* to
//! the worker, so either may go first. A worker that finds its slot abandoned returns it to the slot cache;
//! a path that abandons a slot that no worker has does so itself.

use crate::memory::OutOfMemory;
use crate::pool::{Job, NoWorker, POOL};
use crate::probe::{Outcome, Probe, Task};
use crate::slot_cache::{self, SlotCache};
use crate::spin::Spin;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::time::{Duration, Instant};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, lock};
use crate::{MapMemory, Seconds};
use kernel_fd::Errno;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Keeps the cache of a probe's slots locked; empty when there is no memory for the cache, and so no instance
/// either.
pub struct HeldSlots<P: Probe>(
    #[expect(dead_code, reason = "held for its drop")] Option<slot_cache::Held<Slot<P>>>,
);

impl<P: Probe> HeldSlots<P> {
    pub(crate) fn new() -> HeldSlots<P> {
        HeldSlots(POOL.slots().ok().map(SlotCache::hold))
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

/// What a worker has to do with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing.
    Idle,
    /// The slot is in the pool's queue.
    Queued,
    /// A worker sends the setup commands.
    SettingUp,
    /// A worker executes the probe, or is about to begin or to end.
    Executing,
}

/// One place for a run.
pub(crate) struct Slot<P: Probe> {
    /// Where the slot goes when neither path nor worker has it.
    cache: &'static SlotCache<Slot<P>>,
    /// No further command is to be sent.
    cancelled: AtomicBool,
    /// Whether the stage is not [`Stage::Idle`], for a host that spins without the lock.
    busy: AtomicBool,
    run: Mutex<Run<P>>,
    ended: Condvar,
}

struct Run<P: Probe> {
    stage: Stage,
    /// The path still wants the slot.
    owned: bool,
    /// A thread sleeps on `ended`.
    awaited: bool,
    /// Setup commands yet to be sent, before the probe.
    setup: Option<Target>,
    probe: Option<Order<P>>,
    setup_record: Option<P::LogRecord>,
    result: Option<Ended<P>>,
}

impl<P: Probe> Run<P> {
    const fn new() -> Run<P> {
        Run {
            stage: Stage::Idle,
            owned: true,
            awaited: false,
            setup: None,
            probe: None,
            setup_record: None,
            result: None,
        }
    }
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

impl<P: Probe> Slot<P> {
    fn new(cache: &'static SlotCache<Slot<P>>) -> Slot<P> {
        Slot {
            cache,
            cancelled: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            run: Mutex::new(Run::new()),
            ended: Condvar::new(),
        }
    }

    /// A slot for the caller alone.
    pub(crate) fn claim() -> Result<&'static Slot<P>, OutOfMemory> {
        let slot = POOL.slots()?.take(Slot::new)?;
        slot.cancelled.store(false, Ordering::SeqCst);
        *lock(&slot.run) = Run::new();
        Ok(slot)
    }

    /// Gives the slot up, with a run in it or not. No command is begun after this has returned.
    pub(crate) fn abandon(&'static self) {
        self.cancel();
        let mut run = lock(&self.run);
        run.owned = false;
        // With the lock held: a worker that has taken the slot from the queue cannot finish with it, so
        // that it would be queued for another path.
        if run.stage == Stage::Queued && POOL.withdraw(self) {
            run.stage = Stage::Idle;
        }
        let idle = run.stage == Stage::Idle;
        drop(run);
        if idle {
            self.busy.store(false, Ordering::Relaxed);
            self.cache.put_back(self);
        }
    }

    /// Makes the run end before its next command.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// Whether a worker has, or will have, anything to do with the slot.
    pub(crate) fn is_busy(&self) -> bool {
        lock(&self.run).stage != Stage::Idle
    }

    /// Orders the setup commands.
    pub(crate) fn start_setup(&'static self, target: Target) {
        let mut run = lock(&self.run);
        run.setup = Some(target);
        // Without a thread they stay due, and go before the first probe.
        let _ = self.queue(run);
    }

    /// Orders a probe, which goes after setup commands that are due or being sent.
    ///
    /// # Errors
    /// When the system gives no thread; the probe is not ordered then.
    pub(crate) fn start_probe(&'static self, order: Order<P>) -> Result<(), NoWorker> {
        self.cancelled.store(false, Ordering::SeqCst);
        let mut run = lock(&self.run);
        run.probe = Some(order);
        run.result = None;
        if run.stage == Stage::Idle {
            self.queue(run)?;
        }
        Ok(())
    }

    fn queue(&'static self, mut run: MutexGuard<'_, Run<P>>) -> Result<(), NoWorker> {
        run.stage = Stage::Queued;
        self.busy.store(true, Ordering::Relaxed);
        drop(run);
        let submitted = POOL.submit(self);
        if submitted.is_err() {
            let mut run = lock(&self.run);
            run.stage = Stage::Idle;
            run.probe = None;
            self.busy.store(false, Ordering::Relaxed);
        }
        submitted
    }

    /// Takes the result of a run that has ended.
    pub(crate) fn progress(&self) -> Progress<P> {
        let mut run = lock(&self.run);
        match run.stage {
            Stage::Queued => Progress::Queued,
            Stage::SettingUp | Stage::Executing => Progress::Executing,
            Stage::Idle => Progress::Ended(run.result.take()),
        }
    }

    /// What the setup had to say, once it is over: `None` before.
    pub(crate) fn finished_setup(&self) -> Option<Option<P::LogRecord>> {
        let mut run = lock(&self.run);
        (run.stage != Stage::SettingUp && run.setup.is_none()).then(|| run.setup_record.take())
    }

    /// Takes setup commands away that no worker has begun to send.
    pub(crate) fn take_setup(&self) -> Option<Target> {
        lock(&self.run).setup.take()
    }

    /// Waits until no worker sends setup commands, without a limit.
    pub(crate) fn wait_for_setup(&self) {
        let mut run = lock(&self.run);
        while run.stage == Stage::SettingUp {
            run.awaited = true;
            run = self.ended.wait(run).unwrap_or_else(PoisonError::into_inner);
        }
        run.awaited = false;
    }

    /// Waits until the run has ended, for `limit` at most.
    pub(crate) fn wait(&self, limit: Duration) {
        let start = Instant::now();
        let mut run = lock(&self.run);
        run.awaited = true;
        while run.stage != Stage::Idle {
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            let woken = self.ended.wait_timeout(run, left);
            run = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        run.awaited = false;
    }

    /// Spins for a moment for the end of the run, if experience with `spin` tells that it may help.
    pub(crate) fn spin(&self, spin: &Spin) {
        spin.until(|| !self.busy.load(Ordering::Acquire));
    }

    /// Sends the setup commands and executes the probe, as far as they are due, and returns the run that
    /// has ended, with the descriptor that was used.
    fn execute(&self) -> (MutexGuard<'_, Run<P>>, Option<OwnedFd>) {
        let mut copy = None;
        let mut sets_up = true;
        let mut run = lock(&self.run);
        run.stage = Stage::Executing;
        while !self.cancelled.load(Ordering::SeqCst) {
            match run.setup.filter(|_| sets_up) {
                Some(target) => match descriptor(target.fd, &mut copy) {
                    Ok(fd) => run = self.set_up(run, Target { fd, ..target }),
                    // Setup commands may write. Without a descriptor of the run's own they stay due.
                    Err(NoDescriptor) => sets_up = false,
                },
                None if run.probe.is_some() => run = self.probe(run, &mut copy),
                None => break,
            }
        }
        (run, copy)
    }

    /// Sends the setup commands, with the lock released meanwhile.
    fn set_up<'a>(
        &'a self,
        mut run: MutexGuard<'a, Run<P>>,
        Target { fd, timeout }: Target,
    ) -> MutexGuard<'a, Run<P>> {
        run.setup = None;
        run.stage = Stage::SettingUp;
        drop(run);
        let task = Task::new(fd, timeout, (), MapMemory::Absent, &self.cancelled);
        let record = catch_unwind(AssertUnwindSafe(|| P::setup(&task)));
        let mut run = lock(&self.run);
        run.setup_record = record.unwrap_or_default();
        run.stage = Stage::Executing;
        if run.awaited {
            // The path may wait for the setup alone.
            self.ended.notify_all();
        }
        run
    }

    /// Executes the probe, with the lock released meanwhile.
    fn probe<'a>(
        &'a self,
        mut run: MutexGuard<'a, Run<P>>,
        copy: &mut Option<OwnedFd>,
    ) -> MutexGuard<'a, Run<P>> {
        let Some(order) = run.probe.take() else {
            return run;
        };
        let Target { fd, timeout } = order.target;
        let fd = descriptor(fd, copy).unwrap_or(fd);
        drop(run);
        let mut task = Task::new(fd, timeout, order.memory, order.map, &self.cancelled);
        let outcome = catch_unwind(AssertUnwindSafe(|| P::probe(&mut task)));
        let mut run = lock(&self.run);
        run.result = Some(Ended {
            outcome: outcome.map_err(|_| Panicked),
            memory: task.memory,
            map: task.new_map(),
        });
        run
    }
}

/// The process has no descriptor left.
struct NoDescriptor;

/// A descriptor of the run's own for the device behind `fd`, made once per run: after the path has been
/// freed the host may close `fd` and the number may name another file, while a worker is about to send a
/// command. Called with the run's lock held and the run not cancelled, so the path has not been freed.
///
/// A number that is not open is returned as it is; the command then fails with `EBADF`.
///
/// # Errors
/// [`NoDescriptor`] when the process or the system may open no more.
fn descriptor(fd: RawFd, copy: &mut Option<OwnedFd>) -> Result<RawFd, NoDescriptor> {
    if copy.is_none() {
        *copy = match kernel_fd::duplicate(fd) {
            Ok(duplicate) => Some(duplicate),
            Err(Errno::EBADF) => None,
            Err(_) => return Err(NoDescriptor),
        };
    }
    Ok(copy.as_ref().map_or(fd, AsRawFd::as_raw_fd))
}

impl<P: Probe> Job for Slot<P> {
    fn run(&'static self) -> Option<&'static Condvar> {
        let (mut run, copy) = self.execute();
        run.stage = Stage::Idle;
        let (owned, awaited) = (run.owned, run.awaited);
        drop(run);
        // An owned slot may be queued again from here on. So `busy` may say too early that the new run has
        // ended, and the thread woken below be another: both look at the stage.
        self.busy.store(false, Ordering::Release);
        if !owned {
            self.cache.put_back(self);
        }
        // After the result has been published: closing may wait, if the host has closed its descriptor.
        drop(copy);
        (owned && awaited).then_some(&self.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Asynchronous, Call, Checker, Delivery, Messages, Mode, Monotonic, NoLogRecord, PathState,
        Verdict, pool,
    };
    use std::sync::atomic::{AtomicI32, AtomicU64};

    struct Device;

    impl Probe for Device {
        const NAME: &'static str = "device";
        const MESSAGES: Messages = Messages::COMMON;
        type Memory = ();
        type LogRecord = NoLogRecord;
        type LastReply = ();

        fn probe(_task: &mut Task<'_, ()>) -> Outcome<Self> {
            while HOLD.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Verdict::UP.into()
        }
    }

    static SUPPLY: AtomicI32 = AtomicI32::new(1);
    static HOLD: AtomicBool = AtomicBool::new(false);

    fn start(slot: &'static Slot<Device>) {
        let order = Order {
            target: Target {
                fd: -1,
                timeout: Seconds(5),
            },
            memory: (),
            map: MapMemory::Absent,
        };
        slot.start_probe(order).unwrap();
    }

    fn within(mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < Duration::from_secs(20), "never happened");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    // One test, since the supply of threads and the slots are those of the process.
    #[test]
    fn a_slot_is_reused_after_its_path_and_only_then() {
        // A starter, and no worker at first.
        pool::set_spawner(|body| match SUPPLY.fetch_sub(1, Ordering::SeqCst) {
            1.. => std::thread::Builder::new().spawn(body).map(drop),
            _ => Err(std::io::ErrorKind::WouldBlock.into()),
        });
        let slot = Slot::<Device>::claim().unwrap();
        reused_if_it_waits_for_a_thread(slot);
        SUPPLY.store(1000, Ordering::SeqCst);
        returned_by_the_worker_that_has_it(slot);
        kept_while_its_path_lives();
        a_wait_ends_with_the_run();
        both_slots_of_a_hung_path_come_back();
    }

    fn reused_if_it_waits_for_a_thread(slot: &'static Slot<Device>) {
        start(slot);
        assert!(matches!(slot.progress(), Progress::Queued));
        slot.abandon();
        for _ in 0..100 {
            let next = Slot::<Device>::claim().unwrap();
            assert!(std::ptr::eq(slot, next), "another slot was made");
            assert!(!next.is_busy());
            start(next);
            next.abandon();
        }
    }

    fn returned_by_the_worker_that_has_it(slot: &'static Slot<Device>) {
        assert!(std::ptr::eq(slot, Slot::<Device>::claim().unwrap()));
        HOLD.store(true, Ordering::SeqCst);
        start(slot);
        within(|| matches!(slot.progress(), Progress::Executing));
        slot.abandon();
        let comes_next = || {
            let next = Slot::<Device>::claim().unwrap();
            let same = std::ptr::eq(slot, next);
            next.abandon();
            same
        };
        assert!(!comes_next(), "a worker still has it");
        HOLD.store(false, Ordering::SeqCst);
        within(comes_next);
    }

    fn kept_while_its_path_lives() {
        let slot = Slot::<Device>::claim().unwrap();
        for _ in 0..50 {
            start(slot);
            within(|| matches!(slot.progress(), Progress::Ended(Some(_))));
            let next = Slot::<Device>::claim().unwrap();
            assert!(!std::ptr::eq(slot, next), "two paths have one slot");
            next.abandon();
        }
    }

    fn a_wait_ends_with_the_run() {
        let slot = Slot::<Device>::claim().unwrap();
        HOLD.store(true, Ordering::SeqCst);
        start(slot);
        let limit = Duration::from_secs(20);
        let waiter = std::thread::spawn(move || {
            let start = Instant::now();
            slot.wait(limit);
            start.elapsed()
        });
        within(|| lock(&slot.run).awaited);
        HOLD.store(false, Ordering::SeqCst);
        assert!(waiter.join().unwrap() < limit, "not signalled");
        slot.abandon();
    }

    fn both_slots_of_a_hung_path_come_back() {
        static SECOND: AtomicU64 = AtomicU64::new(0);
        let in_use = || POOL.slots::<Slot<Device>>().unwrap().in_use();
        let before = in_use();
        let call = Call {
            fd: -1,
            timeout: Seconds(5),
            mode: Mode::Async,
            delivery: Delivery::Pending,
            path_state: PathState::Unchecked,
            map: MapMemory::Absent,
            clock: || Monotonic {
                seconds: SECOND.load(Ordering::SeqCst),
                nanos: 0,
            },
        };
        for freed_while_hung in [true, false] {
            HOLD.store(true, Ordering::SeqCst);
            let mut path = Asynchronous::<Device>::init(&call).instance.unwrap();
            for slots in 1..=2 {
                assert_eq!(path.check(&call).verdict.state, PathState::Pending);
                within(|| {
                    SECOND.fetch_add(6, Ordering::SeqCst);
                    path.check(&call).verdict.state == PathState::Timeout
                });
                assert_eq!(in_use(), before + slots);
            }
            if !freed_while_hung {
                HOLD.store(false, Ordering::SeqCst);
                within(|| {
                    path.check(&call);
                    path.pending(&call).verdict == Verdict::UP && in_use() == before + 1
                });
            }
            path.free(&call);
            HOLD.store(false, Ordering::SeqCst);
            within(|| in_use() == before);
        }
    }
}
