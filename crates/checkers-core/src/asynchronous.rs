//! How a blocking [`Probe`] becomes a [`Checker`] that never holds its host up.
//!
//! The protocol is that of multipath-tools' tur checker (0.14): a check is started on a worker, its
//! verdict is collected by a later call, and a worker that does not come back is left alone. The
//! parts that keep a dead device from hurting anybody:
//!
//! * A run works on copies (descriptor number, time limit, memory) in a [`Slot`] that belongs to the
//!   instance *and* to the worker, so either may go first.
//! * Once the time limit has passed the instance forgets the run and answers TIMEOUT. The next check
//!   may start **one** further run beside the hung one, in a new slot; if that hangs as well, every
//!   check answers TIMEOUT until it has come back.
//! * A run that nobody waits for any more is cancelled: it sends no further command.

use crate::memory::OutOfMemory;
use crate::pool::{Job, POOL};
use crate::probe::{Note, Outcome, Probe, Task};
use crate::shelf::Shelf;
use crate::spin::Spin;
use crate::sync::lock;
use crate::{
    Call, Checker, Delivery, InitError, MapMemory, MessageId, MessageTable, Mode, PathState,
    Seconds, Verdict,
};
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long `check` waits for the verdict where the host will not ask again soon
/// ([`Delivery::InCheck`]), and `init` for the end of the setup commands.
const SHORT_WAIT: Duration = Duration::from_millis(1);

/// How many extra runs may hang beside a hung one.
const MAX_STALLED: u8 = 1;

/// Of those who wait for a verdict.
static VERDICTS: Spin = Spin::new();

/// What the instances of one probe share: the slots that are free for reuse.
///
/// Slots are never given back to the allocator, so their number is that of the most paths checked at
/// one time, plus the hung runs.
pub struct Class<P: Probe> {
    slots: Shelf<Slot<P>>,
}

impl<P: Probe> Class<P> {
    /// A class without slots.
    pub const fn new() -> Class<P> {
        Class {
            slots: Shelf::new(),
        }
    }
}

impl<P: Probe> Default for Class<P> {
    fn default() -> Self {
        Class::new()
    }
}

/// One place for a run, shared by an instance and a worker.
struct Slot<P: Probe> {
    cancel: AtomicBool,
    /// As `busy` in `run`, but a moment later, for who spins without the lock.
    under_way: AtomicBool,
    run: Mutex<Run<P>>,
    ended: Condvar,
}

struct Run<P: Probe> {
    /// The instance still looks at this slot.
    owned: bool,
    /// Queued or executing, whoever waits for it.
    busy: bool,
    /// A worker has taken it from the queue.
    begun: bool,
    /// Commands yet to be sent, in this order.
    setup: bool,
    probe: bool,
    /// Somebody sleeps on `ended`.
    awaited: bool,
    fd: RawFd,
    timeout: Seconds,
    memory: P::Memory,
    map: MapMemory,
    /// What the probe made of the map's value, if it changed it. While it ran, other paths may have
    /// changed it too, so an unchanged copy must not be written back.
    new_map: Option<MapMemory>,
    setup_note: Option<P::Note>,
    /// The result of the probe, or of a probe that panicked.
    outcome: Option<Result<Outcome<P>, Panicked>>,
}

#[derive(Clone, Copy)]
struct Panicked;

impl<P: Probe> Slot<P> {
    fn new() -> Slot<P> {
        Slot {
            cancel: AtomicBool::new(false),
            under_way: AtomicBool::new(false),
            run: Mutex::new(Run {
                owned: true,
                busy: false,
                begun: false,
                setup: false,
                probe: false,
                awaited: false,
                fd: -1,
                timeout: Seconds(0),
                memory: P::Memory::default(),
                map: MapMemory::Absent,
                new_map: None,
                setup_note: None,
                outcome: None,
            }),
            ended: Condvar::new(),
        }
    }

    fn claim() -> Result<&'static Slot<P>, OutOfMemory> {
        let slot = P::class().slots.take(Slot::new)?;
        let mut run = lock(&slot.run);
        slot.cancel.store(false, Ordering::SeqCst);
        run.owned = true;
        run.setup = false;
        run.probe = false;
        run.setup_note = None;
        run.outcome = None;
        drop(run);
        Ok(slot)
    }

    /// The instance looks away for good. Says whether a worker still has the slot.
    fn abandon(&'static self) -> bool {
        self.cancel.store(true, Ordering::SeqCst);
        let mut run = lock(&self.run);
        run.owned = false;
        let busy = run.busy;
        drop(run);
        if !busy {
            P::class().slots.put_back(self);
        }
        busy
    }

    /// Sleeps until the worker is done with the slot; `limit` is `None` for "as long as it takes".
    fn wait<'a>(
        &'a self,
        mut run: MutexGuard<'a, Run<P>>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, Run<P>> {
        let start = Instant::now();
        run.awaited = true;
        while run.busy {
            match limit.map(|limit| limit.saturating_sub(start.elapsed())) {
                None => run = self.ended.wait(run).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(left) => {
                    let woken = self.ended.wait_timeout(run, left);
                    run = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
        run.awaited = false;
        run
    }
}

impl<P: Probe> Job for Slot<P> {
    fn run(&'static self) -> Option<&'static Condvar> {
        let mut run = lock(&self.run);
        run.begun = true;
        while !self.cancel.load(Ordering::SeqCst) {
            if run.setup {
                run.setup = false;
                let task = Task::new(run.fd, run.timeout, (), MapMemory::Absent, &self.cancel);
                drop(run);
                let note = catch_unwind(AssertUnwindSafe(|| P::setup(&task)));
                run = lock(&self.run);
                run.setup_note = note.unwrap_or_default();
            } else if run.probe {
                run.probe = false;
                let mut task = Task::new(run.fd, run.timeout, run.memory, run.map, &self.cancel);
                drop(run);
                let outcome = catch_unwind(AssertUnwindSafe(|| P::probe(&mut task)));
                run = lock(&self.run);
                run.memory = task.memory;
                run.new_map = (task.map != run.map).then_some(task.map);
                run.outcome = Some(outcome.map_err(|_| Panicked));
            } else {
                break;
            }
        }
        run.busy = false;
        let (owned, awaited) = (run.owned, run.awaited);
        drop(run);
        self.under_way.store(false, Ordering::Release);
        // Without an owner the slot is ours to give back. With one, it may already be running again
        // by the time of the notification: a sleeper looks at `busy`, so that does no harm.
        if !owned {
            P::class().slots.put_back(self);
        }
        (owned && awaited).then_some(&self.ended)
    }
}

/// A [`Probe`] as a [`Checker`].
pub struct Asynchronous<P: Probe> {
    slot: &'static Slot<P>,
    /// A run was started whose verdict has been neither collected nor given up.
    running: bool,
    /// The setup commands may still be under way.
    setting_up: bool,
    /// Nobody looked for the verdict since the start.
    unseen: bool,
    /// How many runs in a row were given up while hanging; see [`MAX_STALLED`].
    stalled: u8,
    /// The whole second of the monotonic clock after which a run is late.
    last_second: u64,
    device: (u32, u32),
    memory: P::Memory,
    evidence: Option<P::Evidence>,
}

impl<P: Probe> Asynchronous<P> {
    /// What the device answered in the last check that ended.
    pub fn evidence(&self) -> Option<P::Evidence> {
        self.evidence
    }

    /// Where a run stands: `None` while it is under way.
    fn collect(&mut self, call: &mut Call) -> Option<Verdict> {
        let mut run = lock(&self.slot.run);
        if run.busy {
            return None;
        }
        let outcome = run.outcome.take();
        let (memory, new_map) = (run.memory, run.new_map);
        drop(run);
        self.running = false;
        self.finish_setup();
        self.memory = memory;
        call.map = new_map.unwrap_or(call.map);
        let mut verdict = self.accept(outcome.unwrap_or(Err(Panicked)));
        // The host cleared the message before the check, and the start wrote over it. A verdict that
        // leaves the message alone means the host's.
        verdict.message = verdict.message.or(Some(MessageId::NONE));
        let (major, minor) = self.device;
        log::trace!(
            "{major}:{minor} : {} checker finished, state {}",
            P::NAME,
            verdict.state
        );
        Some(verdict)
    }

    fn accept(&mut self, outcome: Result<Outcome<P>, Panicked>) -> Verdict {
        match outcome {
            Ok(Outcome {
                verdict,
                note,
                evidence,
            }) => {
                self.evidence = evidence;
                if let Some(note) = note {
                    note.emit();
                }
                verdict
            }
            Err(Panicked) => {
                log::error!("{} checker: internal error, check abandoned", P::NAME);
                Verdict::silent(PathState::Unchecked)
            }
        }
    }

    /// Emits what the setup had to say, once it is over.
    fn finish_setup(&mut self) {
        if !self.setting_up {
            return;
        }
        let mut run = lock(&self.slot.run);
        if run.busy {
            return;
        }
        let note = run.setup_note.take();
        drop(run);
        self.setting_up = false;
        if let Some(note) = note {
            note.emit();
        }
    }

    /// Runs the probe on the host's thread. A run in flight goes on and is collected later.
    fn check_inline(&mut self, call: &mut Call) -> Verdict {
        if self.setting_up {
            drop(self.slot.wait(lock(&self.slot.run), None));
            self.finish_setup();
        }
        let mut task = Task::uncancelled(call.fd, call.timeout, self.memory, call.map);
        let outcome = catch_unwind(AssertUnwindSafe(|| P::probe(&mut task)));
        self.memory = task.memory;
        call.map = task.map;
        self.accept(outcome.map_err(|_| Panicked))
    }

    /// The check of a host that comes back while a run is known.
    fn check_again(&mut self, call: &mut Call) -> Verdict {
        self.unseen = false;
        if let Some(verdict) = self.collect(call) {
            return verdict;
        }
        let (major, minor) = self.device;
        // Whole seconds, strictly greater: the run is late between T and T + 1 s after its start.
        if (call.clock)().seconds > self.last_second {
            if !lock(&self.slot.run).begun {
                return self.not_begun(call);
            }
            self.slot.cancel.store(true, Ordering::SeqCst);
            self.running = false;
            log::debug!("{major}:{minor} : {} checker timeout", P::NAME);
            return Verdict::new(PathState::Timeout, P::TIMED_OUT);
        }
        log::debug!("{major}:{minor} : {} checker not finished", P::NAME);
        Verdict::new(PathState::Pending, P::RUNNING)
    }

    /// What to say of a run that no worker has taken within the time limit, because all of them are
    /// held up and there are no more threads to be had. That tells nothing about the path, so it is
    /// no timeout; the run stays queued, and its time starts afresh.
    fn not_begun(&mut self, call: &Call) -> Verdict {
        self.start_clock(call);
        let (major, minor) = self.device;
        log::debug!("{major}:{minor} : no thread for {} yet", P::NAME);
        Verdict::new(PathState::Unchecked, P::NOT_STARTED)
    }

    fn start_clock(&mut self, call: &Call) {
        self.last_second = (call.clock)()
            .seconds
            .saturating_add(u64::from(call.timeout.0));
    }

    /// Finds the slot for a new run. The verdict, if any, is the reason not to start one.
    fn place_for_run(&mut self) -> Result<(), Verdict> {
        self.finish_setup();
        let busy = lock(&self.slot.run).busy;
        // A cancelled slot is one whose run was given up; setup commands under way are not that.
        if !busy || !self.slot.cancel.load(Ordering::SeqCst) {
            self.stalled = if busy { self.stalled } else { 0 };
            self.slot.cancel.store(false, Ordering::SeqCst);
            return Ok(());
        }
        let (major, minor) = self.device;
        if self.stalled == MAX_STALLED {
            log::info!(
                "{major}:{minor} : waiting for stalled {} thread to finish",
                P::NAME
            );
            self.stalled += 1;
        }
        if self.stalled > MAX_STALLED {
            return Err(Verdict::new(PathState::Timeout, P::TIMED_OUT));
        }
        log::debug!("{major}:{minor} : {} thread not responding", P::NAME);
        let slot = Slot::claim()
            .map_err(|OutOfMemory| Verdict::new(PathState::Unchecked, P::NOT_STARTED))?;
        let still_hung = self.slot.abandon();
        self.stalled = if still_hung { self.stalled + 1 } else { 0 };
        self.setting_up = false;
        self.slot = slot;
        Ok(())
    }

    fn start(&mut self, call: &mut Call) -> Verdict {
        if let Err(verdict) = self.place_for_run() {
            return verdict;
        }
        let (major, minor) = self.device;
        let mut run = lock(&self.slot.run);
        run.probe = true;
        run.fd = call.fd;
        run.timeout = call.timeout;
        run.memory = self.memory;
        run.map = call.map;
        run.outcome = None;
        // While setup commands are under way the worker goes on with the probe by itself.
        let queued = run.busy;
        run.busy = true;
        run.begun &= queued;
        self.slot.under_way.store(true, Ordering::Relaxed);
        drop(run);
        if !queued && POOL.submit(self.slot).is_err() {
            let mut run = lock(&self.slot.run);
            run.busy = false;
            run.probe = false;
            drop(run);
            log::debug!("{major}:{minor} : failed to start {} thread", P::NAME);
            return Verdict::new(PathState::Unchecked, P::NOT_STARTED);
        }
        self.running = true;
        self.unseen = true;
        self.start_clock(call);
        log::trace!("{major}:{minor} : {} checker starting up", P::NAME);
        if call.delivery == Delivery::InCheck {
            VERDICTS.until(|| !self.slot.under_way.load(Ordering::Acquire));
            drop(self.slot.wait(lock(&self.slot.run), Some(SHORT_WAIT)));
            return self.look(call);
        }
        Verdict::new(PathState::Pending, P::RUNNING)
    }

    /// The verdict if there is one, else "still running"; does not look at the clock.
    fn look(&mut self, call: &mut Call) -> Verdict {
        self.unseen = false;
        self.collect(call).unwrap_or_else(|| {
            let (major, minor) = self.device;
            log::trace!("{major}:{minor} : {} checker still running", P::NAME);
            Verdict::new(PathState::Pending, P::RUNNING)
        })
    }
}

impl<P: Probe> Checker for Asynchronous<P> {
    const NAME: &'static str = P::NAME;
    const MESSAGES: MessageTable = P::MESSAGES;
    const USES_MAP: bool = P::USES_MAP;

    fn init(call: &mut Call) -> Result<Self, InitError> {
        let mut instance = Asynchronous {
            slot: Slot::<P>::claim()?,
            running: false,
            setting_up: false,
            unseen: false,
            stalled: 0,
            last_second: 0,
            device: P::device_number(call.fd),
            memory: P::Memory::default(),
            evidence: None,
        };
        if P::HAS_SETUP {
            let mut run = lock(&instance.slot.run);
            run.setup = true;
            run.fd = call.fd;
            run.timeout = call.timeout;
            run.busy = true;
            run.begun = false;
            drop(run);
            instance.setting_up = true;
            if POOL.submit(instance.slot).is_err() {
                // Left for the first run, which does it before anything else.
                lock(&instance.slot.run).busy = false;
            } else {
                drop(
                    instance
                        .slot
                        .wait(lock(&instance.slot.run), Some(SHORT_WAIT)),
                );
                instance.finish_setup();
            }
        }
        Ok(instance)
    }

    fn check(&mut self, call: &mut Call) -> Verdict {
        match (call.mode, self.running) {
            (Mode::Sync, _) => self.check_inline(call),
            (Mode::Async, true) => self.check_again(call),
            (Mode::Async, false) => self.start(call),
        }
    }

    fn pending(&mut self, call: &mut Call) -> Verdict {
        if self.running {
            self.look(call)
        } else {
            Self::idle(call.path_state)
        }
    }

    fn need_wait(&self) -> bool {
        self.running && self.unseen && lock(&self.slot.run).busy
    }

    fn free(self, _call: &Call) {
        self.slot.abandon();
    }

    fn reset() {
        POOL.dismiss_idle();
    }
}
