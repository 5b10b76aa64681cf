//! The runner threads of multipath-tools 0.15.0: the real ones, which its libmpathutil exports.

use crate::host;
use crate::library::function;
use compat_tests::async_plugin::{Order, RunnerData};
use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::ptr::NonNull;

type Work = unsafe extern "C" fn(*mut c_void);
type Get = unsafe extern "C" fn(Work, *mut c_void, c_uint, c_ulong) -> *mut c_void;
type Check = unsafe extern "C" fn(*mut c_void, *mut c_void, c_uint) -> c_int;
type Release = unsafe extern "C" fn(*mut c_void);

/// `get_runner`, `check_runner` and `release_runner`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runners {
    get: Get,
    check: Check,
    release: Release,
}

/// A runner that has not been released.
#[derive(Debug)]
pub(crate) struct Runner(NonNull<c_void>);

/// What `check_runner` says: `enum runner_status` of 0.15.0's libmpathutil/runner.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The function has not returned.
    Running,
    /// It has, and what it wrote has been copied.
    Done,
    /// It was late and has been cancelled just now.
    Cancelled,
    /// It had been cancelled before.
    Dead,
}

impl Runners {
    /// Finds the functions among the libraries that are loaded for all.
    pub(crate) fn find() -> Result<Runners, String> {
        // SAFETY: the types are those of 0.15.0's libmpathutil/runner.h.
        unsafe {
            Ok(Runners {
                get: function(c"get_runner")?,
                check: function(c"check_runner")?,
                release: function(c"release_runner")?,
            })
        }
    }

    /// Runs the plugin's function on a copy of `order` in a new thread; `None` without a thread.
    pub(crate) fn get(&self, order: &mut Order<'_>, limit: u32) -> Option<Runner> {
        let (data, size) = order.bytes();
        // SAFETY: the library copies `size` bytes, and `work` gets that copy.
        NonNull::new(unsafe { (self.get)(work, data, size, limit.into()) }).map(Runner)
    }

    /// Where it stands; `order` gets what the function wrote, once it has returned.
    pub(crate) fn check(&self, runner: &Runner, order: &mut Order<'_>) -> Status {
        let (data, size) = order.bytes();
        // SAFETY: the runner has not been released; its copy has the same size.
        match unsafe { (self.check)(runner.0.as_ptr(), data, size) } {
            2 => Status::Done,
            3 => Status::Cancelled,
            4 => Status::Dead,
            _ => Status::Running,
        }
    }

    /// Forgets the runner; a thread that still runs is cancelled.
    pub(crate) fn release(&self, runner: Runner) {
        // SAFETY: the runner has not been released, and cannot be used any more.
        unsafe { (self.release)(runner.0.as_ptr()) }
    }
}

/// What a runner thread does. The daemon's own function logs before and after, and ends a cancelled
/// thread here: nothing that its users could see, as nobody looks at what such a thread wrote.
///
/// # Safety
/// `data` must be a copy of an [`Order`]'s bytes.
unsafe extern "C" fn work(data: *mut c_void) {
    let data: *mut RunnerData = data.cast();
    // SAFETY: the copy belongs to this thread until it ends.
    unsafe {
        let Some(function) = (*data).function else {
            return;
        };
        let state = function(data);
        (*data).state = state;
        host::hand_over_lines((*data).fd);
    }
}
