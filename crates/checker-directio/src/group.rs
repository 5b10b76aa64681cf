//! One AIO context and the requests that share it.

use crate::queue::Id;
use checkers_core::Monotonic;
use checkers_core::memory::OutOfMemory;
use kernel_fd::{Errno, Strerror};
use libaio_sys::{Completion, Context, Events, Memory, Missing, Submission, Submitted, Waiter};
use std::time::Duration;

/// How many paths share an AIO context; also its number of events, which counts against
/// `fs.aio-max-nr`.
pub(crate) const GROUP_SIZE: usize = 1024;

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No read, or its result has been collected.
    Idle,
    /// A worker submits it, or is about to; it may have to wait for the device.
    Submitting(Id),
    /// The kernel has it.
    InFlight,
    /// The whole block was read.
    Read,
    /// It failed.
    Failed(Failure),
    /// The kernel did not read since it might have had to wait: `EAGAIN` this time, `EOPNOTSUPP`
    /// always.
    Refused(Errno),
}

impl Stage {
    /// Whether the result is still to come.
    pub(crate) fn is_in_flight(self) -> bool {
        matches!(self, Stage::Submitting(_) | Stage::InFlight)
    }
}

/// Why a read failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The kernel did not take the request (`io_submit`).
    NotSubmitted(Errno),
    /// The device's error.
    Error(Errno),
    /// Less than a block could be read.
    Short,
}

/// One path's place in a group.
#[derive(Clone, Copy, Debug)]
struct Request {
    stage: Stage,
    block_size: u32,
    /// Submitted on condition that the kernel need not wait.
    nowait: bool,
    /// The path is gone; the place stays taken until the kernel gives the request back.
    orphan: bool,
}

/// An AIO context with its requests.
pub(crate) struct Group {
    context: Context,
    /// Room for [`GROUP_SIZE`] is reserved when the group is made.
    requests: Vec<Option<Request>>,
    vacant: Vec<u16>,
    /// Completions that are out of the ring, so that their buffers are free again, but that no poll
    /// has asked for yet. Room for [`GROUP_SIZE`], the most that can be in flight.
    early: Vec<Completion>,
    orphans: usize,
    /// A synchronous caller sleeps in the kernel for this group's events. Until it is back, taking
    /// events out of the ring could leave it asleep without one.
    awaited: bool,
    /// When memory that is not needed was looked for the last time.
    shrunk: Monotonic,
}

/// How long a buffer stays mapped that is not needed. The daemon starts checks in bursts, one a second;
/// they find the buffers of the burst before.
const SHRINK_INTERVAL: Duration = Duration::from_secs(2);

/// A read that has been prepared.
pub(crate) struct Begun {
    pub(crate) submission: Submission,
    /// Memory that no read has needed for a while, to be unmapped without the lock on the groups.
    pub(crate) unused: Option<Memory>,
}

/// Why a read cannot be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacking {
    /// For want of memory that the caller is to map.
    Memory(Missing),
    /// The context refuses.
    Errno(Errno),
}

impl From<Errno> for Lacking {
    fn from(errno: Errno) -> Self {
        Lacking::Errno(errno)
    }
}

/// Why there is no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoGroup {
    OutOfMemory,
    Os(Errno),
}

impl From<OutOfMemory> for NoGroup {
    fn from(_: OutOfMemory) -> Self {
        NoGroup::OutOfMemory
    }
}

impl Group {
    pub(crate) fn new() -> Result<Group, NoGroup> {
        let mut requests = Vec::new();
        requests
            .try_reserve_exact(GROUP_SIZE)
            .map_err(|_| OutOfMemory)?;
        let mut vacant = Vec::new();
        vacant
            .try_reserve_exact(GROUP_SIZE)
            .map_err(|_| OutOfMemory)?;
        let mut early = Vec::new();
        early
            .try_reserve_exact(GROUP_SIZE)
            .map_err(|_| OutOfMemory)?;
        let context = Context::new(GROUP_SIZE as u16).map_err(NoGroup::Os)?;
        Ok(Group {
            context,
            requests,
            vacant,
            early,
            orphans: 0,
            awaited: false,
            shrunk: Monotonic::default(),
        })
    }

    /// Places that are taken, those of orphans included.
    pub(crate) fn holders(&self) -> usize {
        self.requests.len() - self.vacant.len()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.holders() < GROUP_SIZE
    }

    /// Whether the group belongs to this process, and not to one of which this is a child.
    pub(crate) fn is_here(&self) -> bool {
        self.context.is_here()
    }

    pub(crate) fn has_orphans(&self) -> bool {
        self.orphans > 0
    }

    /// Whether no living path uses the group.
    pub(crate) fn is_deserted(&self) -> bool {
        self.holders() == self.orphans
    }

    /// Whether every place is taken by an orphan, so that no path will ever poll the group again.
    pub(crate) fn is_all_orphans(&self) -> bool {
        self.orphans >= GROUP_SIZE
    }

    /// Whether a submission is in flight, which needs the context.
    pub(crate) fn is_submitting(&self) -> bool {
        self.context.submissions() > 0
    }

    /// Takes a place, if there is room for one more.
    pub(crate) fn join(&mut self) -> Option<u16> {
        let request = Some(Request {
            stage: Stage::Idle,
            block_size: 0,
            nowait: false,
            orphan: false,
        });
        if let Some(index) = self.vacant.pop() {
            *self.requests.get_mut(usize::from(index))? = request;
            return Some(index);
        }
        let index = u16::try_from(self.requests.len()).ok()?;
        if self.requests.len() == self.requests.capacity() {
            return None;
        }
        self.requests.push(request);
        Some(index)
    }

    /// Sets how many bytes the request in a place reads.
    pub(crate) fn set_block_size(&mut self, index: u16, block_size: u32) {
        if let Some(request) = self.request(index) {
            request.block_size = block_size;
        }
    }

    /// Gives a place up. A request that the kernel has, or is about to be given, becomes an orphan.
    pub(crate) fn leave(&mut self, index: u16) {
        match self.request(index) {
            Some(request) if request.stage.is_in_flight() => {
                request.orphan = true;
                self.orphans += 1;
            }
            Some(_) => self.vacate(index),
            None => {}
        }
        if self.is_deserted() {
            self.context.trim();
        }
    }

    /// Takes memory away that is not needed, to be unmapped without the lock on the groups.
    pub(crate) fn take_unused(&mut self) -> Option<Memory> {
        self.context.take_unused()
    }

    pub(crate) fn stage(&self, index: u16) -> Stage {
        match self.requests.get(usize::from(index)) {
            Some(Some(request)) => request.stage,
            _ => Stage::Idle,
        }
    }

    /// Marks the memory that no read has needed for [`SHRINK_INTERVAL`] as unused.
    fn shrink(&mut self, now: Monotonic) {
        if self.shrunk.until(now) >= SHRINK_INTERVAL {
            self.context.shrink();
            self.shrunk = now;
        }
    }

    /// Prepares a read of the first block, to be submitted without the lock on the groups: unless
    /// it is to be `nowait`, the kernel may block there. In flight from here on, since its completion
    /// may be taken in before [`Group::settle`]. Takes `memory` in if it is lacking.
    pub(crate) fn begin(
        &mut self,
        index: u16,
        nowait: bool,
        now: Monotonic,
        memory: &mut Option<Memory>,
    ) -> Result<Begun, Lacking> {
        self.shrink(now);
        let request = self.request(index).ok_or(Errno(libc::EINVAL))?;
        let length = request.block_size as usize;
        if !self.context.is_ready(length) {
            self.recover_buffers();
            if let Some(mapped) = memory.take() {
                *memory = self.context.supply(mapped);
            }
            if let Some(lack) = self.context.missing(length)? {
                return Err(Lacking::Memory(lack));
            }
        }
        let submission = self.context.begin_read(length, u64::from(index))?;
        let request = self.request(index).ok_or(Errno(libc::EINVAL))?;
        request.stage = Stage::InFlight;
        request.nowait = nowait;
        Ok(Begun {
            submission,
            unused: self.context.take_unused(),
        })
    }

    /// Settles a submission. `Ok(Some(errno))`: refused under `RWF_NOWAIT`, and idle again. Files fail
    /// `io_submit` itself; a device posts a completion before `io_submit` returns. (If another completion
    /// is newer by now, the next poll finds the refusal.)
    pub(crate) fn settle(
        &mut self,
        index: u16,
        submitted: Submitted,
    ) -> Result<Option<Errno>, Errno> {
        let settled = self.context.settle(submitted);
        let request = self.request(index).ok_or(Errno(libc::EINVAL))?;
        let refused = match settled {
            Ok(()) if request.nowait => self.take_refusal(index),
            Err(errno) if request.nowait && errno.0 == libc::EOPNOTSUPP => Some(errno),
            _ => None,
        };
        if let (Some(request), true) = (self.request(index), refused.is_some() || settled.is_err())
        {
            request.stage = Stage::Idle;
        }
        match refused {
            Some(_) => Ok(refused),
            None => settled.map(|()| None),
        }
    }

    /// Takes the newest completion out of the ring if it refuses the read at `index`.
    fn take_refusal(&mut self, index: u16) -> Option<Errno> {
        let newest = self.context.newest()?;
        let refused = refusal(newest.res).filter(|_| newest.token == u64::from(index))?;
        self.recover_buffers();
        self.early
            .retain(|completion| completion.token != u64::from(index));
        Some(refused)
    }

    /// A read that has been prepared is left to a worker.
    pub(crate) fn defer(&mut self, index: u16, id: Id) {
        if let Some(request) = self.request(index) {
            request.stage = Stage::Submitting(id);
        }
    }

    /// Settles a deferred submission. By now its result may have been collected, and the place may be
    /// another path's.
    pub(crate) fn settle_deferred(&mut self, index: u16, id: Id, submitted: Submitted) {
        let settled = self.context.settle(submitted);
        let Some(request) = self.request(index) else {
            return;
        };
        if request.stage != Stage::Submitting(id) {
            return;
        }
        match settled {
            Ok(()) => request.stage = Stage::InFlight,
            Err(_) if request.orphan => {
                self.orphans -= 1;
                self.vacate(index);
            }
            Err(errno) => request.stage = Stage::Failed(Failure::NotSubmitted(errno)),
        }
    }

    /// A submission has been withdrawn before the kernel was told of it.
    pub(crate) fn called_off(&mut self, index: u16, withdrawn: Submitted) {
        let _ = self.context.settle(withdrawn);
        if let Some(request) = self.request(index) {
            request.stage = Stage::Idle;
        }
    }

    /// Takes the result of a finished request, which is idle again then.
    pub(crate) fn collect(&mut self, index: u16) -> Option<Stage> {
        let request = self.request(index)?;
        match request.stage {
            Stage::Idle | Stage::Submitting(_) | Stage::InFlight => None,
            ended => {
                request.stage = Stage::Idle;
                Some(ended)
            }
        }
    }

    /// Takes in what has completed, and the result of a request that has finished by now.
    pub(crate) fn take(&mut self, index: u16) -> Option<Stage> {
        // A result that is there already is taken as it is; those of other paths wait for their own polls.
        if self.stage(index).is_in_flight() {
            self.reap();
        }
        self.collect(index)
    }

    /// Gets the buffers of completed reads back for the next ones, without a system call. The paths
    /// see their results at the next poll, as those of upstream do: a submission is none.
    fn recover_buffers(&mut self) {
        if !self.awaited {
            let Group { context, early, .. } = self;
            // What cannot be asked now is asked at the next poll, which reports it.
            let _ = context.reap(|completion| early.push(completion));
        }
    }

    /// Takes in everything that has completed. Costs no system call.
    pub(crate) fn reap(&mut self) {
        self.take_in_early();
        if self.awaited {
            return;
        }
        let Group {
            context,
            requests,
            vacant,
            orphans,
            ..
        } = self;
        let reaped = context.reap(|completion| finish(requests, vacant, orphans, completion));
        if let Err(errno) = reaped {
            log::trace!("directio: async io getevents returned {}", Strerror(errno));
        }
    }

    /// Takes in what a sleeping caller has brought.
    pub(crate) fn accept(&mut self, events: Events) {
        self.take_in_early();
        let Group {
            context,
            requests,
            vacant,
            orphans,
            ..
        } = self;
        context.accept(events, |completion| {
            finish(requests, vacant, orphans, completion)
        });
    }

    fn take_in_early(&mut self) {
        let Group {
            requests,
            vacant,
            orphans,
            early,
            ..
        } = self;
        for completion in early.drain(..) {
            finish(requests, vacant, orphans, completion);
        }
    }

    /// A handle to sleep with, unless another thread sleeps already.
    pub(crate) fn begin_wait(&mut self) -> Option<Waiter> {
        if self.awaited {
            return None;
        }
        self.awaited = true;
        Some(self.context.waiter())
    }

    pub(crate) fn end_wait(&mut self, waiter: Waiter) {
        self.context.release(waiter);
        self.awaited = false;
    }

    /// The context alone, for destruction.
    pub(crate) fn into_context(self) -> Context {
        self.context
    }

    fn request(&mut self, index: u16) -> Option<&mut Request> {
        self.requests.get_mut(usize::from(index))?.as_mut()
    }

    fn vacate(&mut self, index: u16) {
        vacate(&mut self.requests, &mut self.vacant, index);
    }
}

/// `vacant` has room for every index there is.
fn vacate(requests: &mut [Option<Request>], vacant: &mut Vec<u16>, index: u16) {
    if let Some(place) = requests.get_mut(usize::from(index)) {
        *place = None;
        vacant.push(index);
    }
}

fn finish(
    requests: &mut [Option<Request>],
    vacant: &mut Vec<u16>,
    orphans: &mut usize,
    completion: Completion,
) {
    let Completion { token, res, res2 } = completion;
    let Ok(index) = u16::try_from(token) else {
        return;
    };
    let Some(Some(request)) = requests.get_mut(usize::from(index)) else {
        return;
    };
    let refused = refusal(res).filter(|_| request.nowait);
    if refused.is_none() {
        log::trace!("directio: io finished {}/{}", res as u64, res2 as u64);
    }
    if request.orphan {
        *orphans -= 1;
        vacate(requests, vacant, index);
        return;
    }
    request.stage = match refused {
        Some(errno) => Stage::Refused(errno),
        None if res == i64::from(request.block_size) => Stage::Read,
        None => Stage::Failed(failure(res)),
    };
}

/// What a result says that is not a whole block: a negative errno, or how many bytes there were.
fn failure(res: i64) -> Failure {
    match i32::try_from(res) {
        Ok(errno) if errno < 0 => Failure::Error(Errno(errno.saturating_neg())),
        _ => Failure::Short,
    }
}

/// The result of a read for which the kernel would have had to wait.
fn refusal(res: i64) -> Option<Errno> {
    [libc::EAGAIN, libc::EOPNOTSUPP]
        .into_iter()
        .find(|errno| res == -i64::from(*errno))
        .map(Errno)
}

#[cfg(test)]
impl Group {
    /// Whether the last read at `index` was submitted on condition that the kernel need not wait.
    pub(crate) fn was_nowait(&mut self, index: u16) -> bool {
        self.request(index).unwrap().nowait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_an_answer_only_to_those_who_allowed_it() {
        let mut group = Group::new().unwrap();
        let index = group.join().unwrap();
        group.set_block_size(index, 512);
        let error = |errno| Stage::Failed(Failure::Error(Errno(errno)));
        for (nowait, res, stage) in [
            (
                true,
                -i64::from(libc::EAGAIN),
                Stage::Refused(Errno(libc::EAGAIN)),
            ),
            (
                true,
                -i64::from(libc::EOPNOTSUPP),
                Stage::Refused(Errno(libc::EOPNOTSUPP)),
            ),
            (false, -i64::from(libc::EAGAIN), error(libc::EAGAIN)),
            (false, -i64::from(libc::EOPNOTSUPP), error(libc::EOPNOTSUPP)),
            (true, -i64::from(libc::EIO), error(libc::EIO)),
            (true, 511, Stage::Failed(Failure::Short)),
            (true, 512, Stage::Read),
        ] {
            group.request(index).unwrap().stage = Stage::InFlight;
            group.request(index).unwrap().nowait = nowait;
            let completion = Completion {
                token: u64::from(index),
                res,
                res2: 0,
            };
            finish(
                &mut group.requests,
                &mut group.vacant,
                &mut group.orphans,
                completion,
            );
            assert_eq!(group.collect(index), Some(stage), "{nowait} {res}");
        }
    }

    const NOW: Monotonic = Monotonic {
        seconds: 1,
        nanos: 0,
    };

    /// Begins a read at `now`.
    fn begin(group: &mut Group, index: u16, now: Monotonic) -> Begun {
        group.set_block_size(index, 512);
        let mut memory = None;
        loop {
            match group.begin(index, false, now, &mut memory) {
                Ok(begun) => return begun,
                Err(Lacking::Memory(lack)) => memory = Some(lack.map().unwrap()),
                Err(Lacking::Errno(errno)) => panic!("{errno}"),
            }
        }
    }

    /// A read that has completed, since it is buffered, and not been taken in.
    fn read(group: &mut Group, index: u16) {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let submission = begin(group, index, NOW).submission;
        let submitted = submission.submit(std::os::fd::AsRawFd::as_raw_fd(&file));
        assert_eq!(group.settle(index, submitted), Ok(None));
    }

    #[test]
    fn a_refused_submission_leaves_nothing_in_flight() {
        let mut group = Group::new().unwrap();
        let index = group.join().unwrap();
        let submitted = begin(&mut group, index, NOW).submission.submit(-1);
        let settled = group.settle(index, submitted);
        assert_eq!(settled, Err(Errno::EBADF));
        assert_eq!(group.stage(index), Stage::Idle);
        group.leave(index);
        assert_eq!((group.holders(), group.has_orphans()), (0, false));
    }

    #[test]
    fn what_a_sleeper_is_to_bring_is_left_to_it() {
        let mut group = Group::new().unwrap();
        let [early, late] = [(); 2].map(|()| group.join().unwrap());
        for reaps in [false, true] {
            read(&mut group, early);
            group.recover_buffers();
            let waiter = group.begin_wait().unwrap();
            assert!(group.begin_wait().is_none(), "one at a time");
            read(&mut group, late);
            if reaps {
                group.reap();
                let stages = [early, late].map(|index| group.stage(index));
                assert_eq!(stages, [Stage::Read, Stage::InFlight]);
            }
            let events = waiter.wait(Duration::ZERO).unwrap();
            assert_eq!(events.len(), 1, "still in the ring");
            group.accept(events);
            group.end_wait(waiter);
            let results = [early, late].map(|index| group.collect(index));
            assert_eq!(results, [Some(Stage::Read); 2]);
        }
    }

    #[test]
    fn memory_that_is_not_needed_comes_back() {
        let mut group = Group::new().unwrap();
        let places = [(); 8].map(|()| group.join().unwrap());
        let end = |group: &mut Group, index, begun: Begun| {
            assert!(group.settle(index, begun.submission.withdraw()).is_err());
            begun.unused.is_some()
        };
        let begun = places.map(|index| begin(&mut group, index, NOW));
        for (index, begun) in places.into_iter().zip(begun) {
            assert!(!end(&mut group, index, begun));
        }
        let [first, ..] = places;
        let unused = [2, 3, 4].map(|seconds| {
            let now = NOW.plus(Duration::from_secs(seconds));
            let begun = begin(&mut group, first, now);
            end(&mut group, first, begun)
        });
        assert_eq!(unused, [false, false, true], "after two seconds");
        for index in places {
            group.leave(index);
        }
        while group.take_unused().is_some() {}
        assert_eq!(group.context.mapped_blocks(), 0);
    }
}
