// SPDX-License-Identifier: LGPL-2.0-or-later

//! A path that 0.15's libmultipath keeps.

use crate::scsi::host_path::{HostPath, NO_VALUE};
use crate::scsi::libmultipath::Libmultipath;
use harness::async_plugin::{AsyncPlugin, Order, RunnerData};
use harness::state::State;
use std::ffi::{c_int, c_long, c_short};
use std::ptr::{NonNull, null_mut};

/// The fields of `struct checker` in ABI 0.15.
const FD: usize = 8;
const TIMEOUT: usize = 12;
const DISABLE: usize = 16;
const STATE: usize = 20;
const MSGID: usize = 24;
const CONTEXT: usize = 32;
/// Behind it, in `struct path`: `struct multipath *mpp` and `int fd`.
const MAP: usize = 40;
const PATH_FD: usize = 48;
/// `struct runner_data` in what `context` points to.
const CONTEXT_DATA: usize = 32;

/// A path of libmultipath's.
pub(crate) struct LibraryPath<'a> {
    host: &'a Libmultipath,
    /// `None` while libmultipath has not loaded it yet.
    plugin: Option<&'a AsyncPlugin>,
    path: NonNull<u8>,
    map: *mut u8,
    timeout: u32,
}

impl<'a> LibraryPath<'a> {
    /// A path with this descriptor, without a checker and a map.
    ///
    /// # Panics
    /// Without memory.
    pub(crate) fn new(
        host: &'a Libmultipath,
        plugin: Option<&'a AsyncPlugin>,
        fd: c_int,
        timeout: u32,
    ) -> LibraryPath<'a> {
        // SAFETY: the function takes nothing.
        let path = unsafe { (host.alloc_path)() };
        #[expect(clippy::expect_used, reason = "a test without memory may end")]
        let path = NonNull::new(path.cast()).expect("memory for a struct path");
        let path = LibraryPath {
            host,
            plugin,
            path,
            map: null_mut(),
            timeout,
        };
        path.write(PATH_FD, fd);
        path
    }

    fn start(&mut self) -> c_int {
        let (path, config) = (self.path.as_ptr().cast(), self.host.config.as_ptr());
        // SAFETY: both are libmultipath's own.
        unsafe { (self.host.start_checker)(path, config, 0, State::UNCHECKED.0) }
    }

    fn state(&self) -> State {
        self.read(STATE)
    }

    fn word(&self) -> Option<*mut c_long> {
        // SAFETY: the offset is the word's.
        (!self.map.is_null()).then(|| unsafe { self.map.add(self.host.layout.word).cast() })
    }

    fn checker(&self) -> *mut u8 {
        // SAFETY: the offset is the checker's.
        unsafe { self.path.as_ptr().add(self.host.layout.checker) }
    }

    fn read<T: Copy>(&self, field: usize) -> T {
        // SAFETY: callers pass a field's own offset and type.
        unsafe { self.checker().add(field).cast::<T>().read_unaligned() }
    }

    fn write<T: Copy>(&self, field: usize, value: T) {
        // SAFETY: as in `read`; the path is used by this thread alone.
        unsafe { self.checker().add(field).cast::<T>().write_unaligned(value) }
    }
}

impl HostPath for LibraryPath<'_> {
    fn init(&mut self) -> c_int {
        // Selecting a checker begins a check, unless the path is disabled.
        self.write::<c_int>(DISABLE, 1);
        let failed = self.start();
        self.write::<c_int>(DISABLE, 0);
        self.write(STATE, State::UNCHECKED);
        self.write(TIMEOUT, self.timeout);
        failed
    }

    fn prepare_as_meant(&self) {
        if let Some(plugin) = self.plugin {
            let mut order = Order::new(plugin);
            order.data().fd = self.read(FD);
            order.data().timeout = self.timeout;
            order.init();
        }
    }

    fn join_map(&mut self, _: bool) {
        // SAFETY: the function takes nothing.
        self.map = unsafe { (self.host.alloc_multipath)() }.cast();
        assert!(!self.map.is_null(), "no memory for a struct multipath");
        self.write(MAP, self.map);
    }

    fn map_value(&self) -> Option<c_long> {
        let word = self.word()?;
        // SAFETY: the word lies in the map, which this path alone uses.
        Some(unsafe { word.read() }).filter(|value| *value != NO_VALUE)
    }

    fn set_map_value(&mut self, value: c_int) {
        if let Some(word) = self.word() {
            // SAFETY: as in `map_value`.
            unsafe { word.write(c_long::from(value != 0)) };
        }
    }

    fn check(&mut self) -> State {
        self.start();
        self.state()
    }

    fn pending(&mut self) -> Option<State> {
        // SAFETY: the path is libmultipath's own.
        (self.state() == State::PENDING)
            .then(|| State(unsafe { (self.host.get_state)(self.path.as_ptr().cast()) }))
    }

    fn need_wait(&mut self) -> bool {
        // SAFETY: the checker lies in the path. The function gives a `bool` or an int by releases:
        // the lowest byte counts in either.
        unsafe { (self.host.need_wait)(self.checker().cast()) & 0xff != 0 }
    }

    fn message(&self) -> c_short {
        self.read(MSGID)
    }

    /// # Panics
    /// When `context` points to something else than 0.15.0's does.
    fn hidden_message(&self) -> Option<c_short> {
        let context: *mut u8 = self.read(CONTEXT);
        assert!(!context.is_null(), "a checker without a context");
        // SAFETY: libmultipath keeps its runner data there, which no runner touches between two calls:
        // it has a copy.
        let data = unsafe { context.add(CONTEXT_DATA).cast::<RunnerData>().read() };
        assert_eq!(data.fd, self.read::<c_int>(FD), "no runner data");
        Some(data.msgid)
    }

    fn free(self: Box<Self>) -> bool {
        self.write::<*mut u8>(MAP, null_mut());
        // The descriptor is the device's and must not be closed.
        self.write::<c_int>(PATH_FD, -1);
        // SAFETY: the path is not used after this, nor is the map, in which nothing was put but the
        // word.
        unsafe {
            (self.host.free_path)(self.path.as_ptr().cast());
            libc::free(self.map.cast());
        }
        true
    }
}
