//! One AIO context and the requests that share it.

use checkers_core::memory::OutOfMemory;
use kernel_fd::{Errno, Strerror};
use libaio_sys::{Completion, Context, Events, Submission, Submitted, Waiter};

/// How many paths share an AIO context; also its number of events, which counts against
/// `fs.aio-max-nr`.
pub(crate) const GROUP_SIZE: usize = 1024;

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing asked, or the answer has been collected.
    Idle,
    /// The kernel has it.
    InFlight,
    /// The whole block was read.
    Read,
    /// It failed.
    Failed(Failure),
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
    /// The path is gone; the place stays taken until the kernel gives the request back.
    orphan: bool,
}

/// An AIO context with its requests.
pub(crate) struct Group {
    context: Context,
    /// Room for [`GROUP_SIZE`] is reserved when the group is made.
    requests: Vec<Option<Request>>,
    vacant: Vec<u16>,
    orphans: usize,
    /// A synchronous caller sleeps in the kernel for this group's events. Until it is back, taking
    /// events out of the ring could leave it asleep without one.
    awaited: bool,
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
        let context = Context::new(GROUP_SIZE as u16).map_err(NoGroup::Os)?;
        Ok(Group {
            context,
            requests,
            vacant,
            orphans: 0,
            awaited: false,
        })
    }

    /// Places that are taken, those of orphans included.
    pub(crate) fn holders(&self) -> usize {
        self.requests.len() - self.vacant.len()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.holders() < GROUP_SIZE
    }

    pub(crate) fn has_orphans(&self) -> bool {
        self.orphans > 0
    }

    /// Whether no living path uses the group.
    pub(crate) fn is_deserted(&self) -> bool {
        self.holders() == self.orphans
    }

    /// Whether every place is taken by an orphan, so that nobody will ever look at the group again.
    pub(crate) fn is_all_orphans(&self) -> bool {
        self.orphans >= GROUP_SIZE
    }

    /// Takes a place, if there is room for one more.
    pub(crate) fn join(&mut self) -> Option<u16> {
        let request = Some(Request {
            stage: Stage::Idle,
            block_size: 0,
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

    /// Gives a place up. A request in flight becomes an orphan.
    pub(crate) fn leave(&mut self, index: u16) {
        match self.request(index) {
            Some(request) if request.stage == Stage::InFlight => {
                request.orphan = true;
                self.orphans += 1;
            }
            Some(_) => self.vacate(index),
            None => {}
        }
    }

    pub(crate) fn stage(&self, index: u16) -> Stage {
        match self.requests.get(usize::from(index)) {
            Some(Some(request)) => request.stage,
            _ => Stage::Idle,
        }
    }

    /// Prepares a read of the first block, to be submitted without the lock on the groups: the
    /// kernel may block there, where a queue is full. In flight from here on, since its completion
    /// may be taken in before [`Group::settle`].
    pub(crate) fn begin(&mut self, index: u16) -> Result<Submission, Errno> {
        let Some(Some(request)) = self.requests.get_mut(usize::from(index)) else {
            return Err(Errno(libc::EINVAL));
        };
        let length = request.block_size as usize;
        let submission = self.context.begin_read(length, u64::from(index))?;
        request.stage = Stage::InFlight;
        Ok(submission)
    }

    /// Takes note of what came of a submission.
    pub(crate) fn settle(&mut self, index: u16, submitted: Submitted) -> Result<(), Errno> {
        let settled = self.context.settle(submitted);
        if let (Err(_), Some(request)) = (settled, self.request(index)) {
            request.stage = Stage::Idle;
        }
        settled
    }

    /// Takes the answer of a finished request, which is idle again then.
    pub(crate) fn collect(&mut self, index: u16) -> Option<Stage> {
        let request = self.request(index)?;
        match request.stage {
            stage @ (Stage::Read | Stage::Failed(_)) => {
                request.stage = Stage::Idle;
                Some(stage)
            }
            Stage::Idle | Stage::InFlight => None,
        }
    }

    /// Takes in everything that has completed. Costs no system call.
    pub(crate) fn reap(&mut self) {
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

    /// A handle to sleep with, unless somebody sleeps already.
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
    log::trace!("directio: io finished {}/{}", res as u64, res2 as u64);
    let Ok(index) = u16::try_from(token) else {
        return;
    };
    let Some(Some(request)) = requests.get_mut(usize::from(index)) else {
        return;
    };
    if request.orphan {
        *orphans -= 1;
        vacate(requests, vacant, index);
    } else {
        request.stage = if res == i64::from(request.block_size) {
            Stage::Read
        } else {
            Stage::Failed(failure(res))
        };
    }
}

/// What a result says that is not a whole block: a negative errno, or how many bytes there were.
fn failure(res: i64) -> Failure {
    match i32::try_from(res) {
        Ok(errno) if errno < 0 => Failure::Error(Errno(errno.saturating_neg())),
        _ => Failure::Short,
    }
}
