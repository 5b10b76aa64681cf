// SPDX-License-Identifier: LGPL-2.0-or-later

//! The paths of a host: one `struct checker` each, as lean as the daemon's own.

use harness::abi::Abi;
use harness::checker_struct::{CLS, FD, Offsets, TIMEOUT, offsets};
use harness::plugin::Plugin;
use harness::state::State;
use harness::{Result, Trouble, host};
use std::ffi::{c_long, c_short, c_uint, c_void};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// The time limit of a check in seconds, long enough that no check is late. Upstream multiplies it by
/// 1000 in an int, so it must not be much larger.
pub const TIMEOUT_SECONDS: c_uint = 100_000;

/// Room for a `struct checker` of any ABI.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Checker([u8; 48]);

/// One path's part of the host.
struct Path {
    checker: Checker,
    /// What ABI 0.15 passes along for the path's map.
    map_word: c_long,
    file: OwnedFd,
    alive: bool,
}

/// A plugin and the paths it checks.
pub struct Paths {
    abi: Abi,
    at: Offsets,
    plugin: Plugin,
    paths: Vec<Path>,
}

impl Paths {
    /// No paths yet.
    pub fn new(abi: Abi, plugin: Plugin) -> Paths {
        Paths {
            abi,
            at: offsets(abi),
            plugin,
            paths: Vec::new(),
        }
    }

    /// How many paths there are.
    pub fn count(&self) -> usize {
        self.paths.len()
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Adds a path without a checker.
    pub fn add(&mut self, file: OwnedFd) {
        self.paths.push(Path {
            checker: Checker([0; 48]),
            map_word: -1,
            file,
            alive: false,
        });
    }

    /// The descriptor of a path.
    pub fn fd(&self, path: usize) -> RawFd {
        self.at(path).file.as_raw_fd()
    }

    /// Whether a path has a checker.
    pub fn is_alive(&self, path: usize) -> bool {
        self.at(path).alive
    }

    /// Puts another file behind a path that has no checker.
    pub fn reopen(&mut self, path: usize, file: OwnedFd) {
        self.at_mut(path).file = file;
    }

    /// `libcheck_init`; whether it succeeded.
    pub fn init(&mut self, path: usize, timeout: c_uint) -> bool {
        let (at, fd) = (self.at, self.fd(path));
        let checker = &mut self.at_mut(path).checker;
        checker.0.fill(0);
        checker.write(CLS, host::class());
        checker.write(FD, fd);
        checker.write(TIMEOUT, timeout);
        if let Some(field) = at.path_state {
            checker.write(field, State::UNCHECKED);
        }
        let pointer = self.pointer(path);
        // SAFETY: a struct of the plugin's ABI, which stays where it is during the call.
        let alive = unsafe { self.plugin.init(pointer) } == 0;
        let path = self.at_mut(path);
        path.alive = alive;
        path.checker.write(at.msgid, 0 as c_short);
        alive
    }

    /// `init` for every path.
    ///
    /// # Errors
    /// When the plugin refuses one.
    pub fn init_all(&mut self) -> Result<()> {
        for path in 0..self.count() {
            if !self.init(path, TIMEOUT_SECONDS) {
                return Err(Trouble::Broken(format!(
                    "libcheck_init refused path {path}"
                )));
            }
        }
        Ok(())
    }

    /// What the host's `checker_check` does: a check is started, or done.
    pub fn check(&mut self, path: usize) -> State {
        let at = self.at;
        self.at_mut(path).checker.write(at.msgid, 0 as c_short);
        let (pointer, map) = (self.pointer(path), self.map(path));
        // SAFETY: as in `init`.
        let state = unsafe { self.plugin.check(pointer, map) };
        self.store(path, state);
        state
    }

    /// What the host's `checker_get_state` does for a path whose last state was pending.
    pub fn collect(&mut self, path: usize) -> State {
        let (pointer, map) = (self.pointer(path), self.map(path));
        // SAFETY: as in `init`.
        match unsafe { self.plugin.pending(pointer, map) } {
            Some(state) => {
                self.store(path, state);
                state
            }
            // Before 0.11.0 another check is the only way to ask.
            None => self.check(path),
        }
    }

    /// `libcheck_need_wait`, false where the host does not know it.
    pub fn need_wait(&mut self, path: usize) -> bool {
        let pointer = self.pointer(path);
        // SAFETY: as in `init`.
        unsafe { self.plugin.need_wait(pointer) }.unwrap_or_default()
    }

    /// Whether the message id that the last call left has a text. None is needed where there is no
    /// id.
    pub fn has_message(&self, path: usize) -> bool {
        let id: c_short = self.at(path).checker.read(self.at.msgid);
        id == 0 || !self.plugin.message(id).is_empty()
    }

    /// `libcheck_free`.
    pub fn free(&mut self, path: usize) {
        let pointer = self.pointer(path);
        // SAFETY: as in `init`.
        unsafe { self.plugin.free(pointer) };
        self.at_mut(path).alive = false;
    }

    /// Lets go of the paths, which must have no checkers any more.
    pub fn into_plugin(self) -> Plugin {
        self.plugin
    }

    /// `libcheck_free` for every path that has a checker.
    pub fn free_all(&mut self) {
        for path in 0..self.count() {
            if self.is_alive(path) {
                self.free(path);
            }
        }
    }

    /// Whether the verdict comes from `check` itself.
    pub fn verdict_in_check(&self) -> bool {
        self.abi == Abi::V0_7_9
    }

    fn store(&mut self, path: usize, state: State) {
        if let Some(field) = self.at.path_state {
            self.at_mut(path).checker.write(field, state);
        }
    }

    fn pointer(&mut self, path: usize) -> *mut c_void {
        (&raw mut self.at_mut(path).checker).cast()
    }

    fn map(&mut self, path: usize) -> *mut c_void {
        (&raw mut self.at_mut(path).map_word).cast()
    }

    #[allow(
        clippy::indexing_slicing,
        reason = "a path that is not there is a bug here"
    )]
    fn at(&self, path: usize) -> &Path {
        &self.paths[path]
    }

    #[allow(
        clippy::indexing_slicing,
        reason = "a path that is not there is a bug here"
    )]
    fn at_mut(&mut self, path: usize) -> &mut Path {
        &mut self.paths[path]
    }
}

impl Checker {
    fn write<T: Copy>(&mut self, offset: usize, value: T) {
        assert!(offset + size_of::<T>() <= self.0.len());
        // SAFETY: within the bytes, by the assertion.
        unsafe {
            self.0
                .as_mut_ptr()
                .add(offset)
                .cast::<T>()
                .write_unaligned(value);
        }
    }

    fn read<T: Copy>(&self, offset: usize) -> T {
        assert!(offset + size_of::<T>() <= self.0.len());
        // SAFETY: within the bytes, by the assertion; the callers read integers.
        unsafe { self.0.as_ptr().add(offset).cast::<T>().read_unaligned() }
    }
}
