// SPDX-License-Identifier: LGPL-2.0-or-later

//! The host's struct as the registry sees it.

use checkers_core::registry::Record;
use checkers_core::{MessageId, PathState};
use checkers_ffi::abi::HostChecker;
use std::ffi::c_void;
use std::ops::Deref;
use std::os::fd::RawFd;
use std::ptr::{NonNull, null_mut};

/// The `struct checker` of a path.
#[derive(Clone, Copy)]
pub(super) struct PathRecord(pub(super) HostChecker);

impl Deref for PathRecord {
    type Target = HostChecker;

    fn deref(&self) -> &HostChecker {
        &self.0
    }
}

impl Record for PathRecord {
    /// The address of the host's pointer to the map's memory.
    type Place = NonNull<*mut c_void>;

    fn fd(&self) -> RawFd {
        self.0.fd()
    }

    fn is_disabled(&self) -> bool {
        self.0.is_disabled()
    }

    fn set_disabled(&mut self, disabled: bool) {
        self.0.set_disabled(disabled);
    }

    fn set_message(&mut self, message: MessageId) {
        self.0.set_message(message);
    }

    fn state(&self) -> Option<PathState> {
        self.0.path_state()
    }

    fn set_state(&mut self, state: PathState) {
        self.0.set_path_state(state);
    }

    fn place(&self) -> Option<NonNull<*mut c_void>> {
        NonNull::new(self.map_pointer())
    }

    fn set_place(&mut self, place: Option<NonNull<*mut c_void>>) {
        self.set_map_pointer(place.map_or(null_mut(), NonNull::as_ptr));
    }

    fn place_is_empty(&self) -> bool {
        self.place().is_some_and(|place| {
            // SAFETY: the host guarantees that a non-NULL mpcontext points to its pointer variable.
            unsafe { place.read() }.is_null()
        })
    }
}
