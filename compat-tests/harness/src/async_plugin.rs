// SPDX-License-Identifier: LGPL-2.0-or-later

//! A plugin in the form that multipath-tools 0.15.0 prefers: one function that blocks, which the host
//! runs on a thread of its own. All of upstream's checkers have it but directio.
//!
//! A host that finds `libcheck_async_func` looks up nothing else but the three symbols beside it.

use crate::abi::Abi;
use crate::plugin::{function, message, open, read_table, symbol};
use crate::state::State;
use crate::{Result, Trouble};
use std::ffi::{c_int, c_long, c_short, c_uint};
use std::mem::offset_of;
use std::path::Path;

/// `libcheck_async_func` and `libcheck_async_init`.
pub type AsyncFn = unsafe extern "C" fn(*mut RunnerData) -> c_int;

/// `struct runner_data` of 0.15.0, behind which the plugin's own bytes lie.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RunnerData {
    /// The path's descriptor, -1 for none.
    pub fd: c_int,
    /// The device's number.
    pub devt: u64,
    /// What to run.
    pub function: Option<AsyncFn>,
    /// The time limit of one command, in seconds.
    pub timeout: c_uint,
    /// The verdict.
    pub state: State,
    /// The verdict's message.
    pub msgid: c_short,
    /// A copy of the map's word; -1 is "no value".
    pub map: c_long,
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(offset_of!(RunnerData, devt) == 8 && offset_of!(RunnerData, function) == 16);
    assert!(offset_of!(RunnerData, timeout) == 24 && offset_of!(RunnerData, state) == 28);
    assert!(offset_of!(RunnerData, msgid) == 32 && offset_of!(RunnerData, map) == 40);
    assert!(size_of::<RunnerData>() == 48);
};

/// The most that a plugin may ask for itself, in bytes.
const MAX_CONTEXT: usize = 1024;

/// A plugin and what a host of 0.15.0 knows of it.
#[derive(Debug)]
pub struct AsyncPlugin {
    function: AsyncFn,
    init: Option<AsyncFn>,
    context: usize,
    messages: Vec<String>,
}

impl AsyncPlugin {
    /// Loads the plugin; `None` if it has not this form.
    ///
    /// # Errors
    /// When the dynamic linker refuses, or the plugin asks for more memory than there may be.
    pub fn load(path: &Path) -> Result<Option<AsyncPlugin>> {
        let handle = open(path, libc::RTLD_NOW)?;
        // SAFETY: the types are those of 0.15.0's libmultipath/async_checker.h.
        let (function, init): (Option<AsyncFn>, Option<AsyncFn>) = unsafe {
            (
                function(handle, c"libcheck_async_func"),
                function(handle, c"libcheck_async_init"),
            )
        };
        let Some(function) = function else {
            return Ok(None);
        };
        let size: *mut c_int = symbol(handle, c"libcheck_async_context_size").cast();
        let size = if size.is_null() {
            0
        } else {
            // SAFETY: the symbol is an int.
            unsafe { size.read() }
        };
        let context = usize::try_from(size)
            .ok()
            .filter(|size| *size <= MAX_CONTEXT)
            .ok_or_else(|| Trouble::Broken(format!("{}: {size} bytes", path.display())))?;
        Ok(Some(AsyncPlugin {
            function,
            init,
            context,
            messages: read_table(symbol(handle, c"libcheck_msgtable")),
        }))
    }

    /// The plugin's own messages.
    pub fn messages(&self) -> &[String] {
        &self.messages
    }

    /// The text that the host finds for a message id.
    pub fn message(&self, id: c_short) -> &str {
        message(Abi::V0_15, &self.messages, id)
    }
}

/// `struct runner_data` with the plugin's own bytes behind it: what the host keeps of a path.
#[derive(Debug)]
pub struct Order<'a> {
    plugin: &'a AsyncPlugin,
    memory: Vec<u64>,
}

impl<'a> Order<'a> {
    /// One in which nothing is set but the function, as the host has it before
    /// `libcheck_async_init`. The device's number, which only the host's log needs, is 0.
    pub fn new(plugin: &'a AsyncPlugin) -> Order<'a> {
        let size = size_of::<RunnerData>() + plugin.context;
        let mut order = Order {
            plugin,
            memory: vec![0; size.div_ceil(size_of::<u64>())],
        };
        *order.data() = RunnerData {
            fd: -1,
            devt: 0,
            function: Some(plugin.function),
            timeout: 0,
            state: State::UNCHECKED,
            msgid: 0,
            map: -1,
        };
        order
    }

    /// The part that belongs to the host.
    pub fn data(&mut self) -> &mut RunnerData {
        // SAFETY: the memory is large enough and aligned for the structure, of whose fields zero is a
        // value; it is borrowed as `self` is.
        unsafe { &mut *self.memory.as_mut_ptr().cast::<RunnerData>() }
    }

    /// `libcheck_async_init`, if there is one.
    pub fn init(&mut self) -> Option<c_int> {
        // SAFETY: the function gets a structure of the host's form with the memory that the plugin
        // asked for behind it.
        self.plugin
            .init
            .map(|init| unsafe { init(self.memory.as_mut_ptr().cast()) })
    }
}
