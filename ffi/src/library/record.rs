//! The host's struct as the registry sees it.

use crate::layout::RawChecker;
use checkers_core::registry::Record;
use checkers_core::{MessageId, PathState};
use std::ffi::c_void;
use std::os::fd::RawFd;
use std::ptr::{NonNull, null_mut};

impl Record for RawChecker {
    /// The address of the map's pointer variable.
    type Place = NonNull<*mut c_void>;

    fn fd(&self) -> RawFd {
        self.descriptor()
    }

    fn is_disabled(&self) -> bool {
        self.disabled()
    }

    fn set_disabled(&mut self, disabled: bool) {
        self.disable(disabled);
    }

    fn set_message(&mut self, message: MessageId) {
        self.say(message);
    }

    fn state(&self) -> Option<PathState> {
        self.stored_state()
    }

    fn set_state(&mut self, state: PathState) {
        self.store_state(state);
    }

    fn place(&self) -> Option<NonNull<*mut c_void>> {
        NonNull::new(self.map_pointer())
    }

    fn set_place(&mut self, place: Option<NonNull<*mut c_void>>) {
        self.set_map_pointer(place.map_or(null_mut(), NonNull::as_ptr));
    }

    fn place_is_empty(&self) -> bool {
        // SAFETY: a non-NULL mpcontext points to the host's pointer variable.
        self.place()
            .is_some_and(|place| unsafe { place.read() }.is_null())
    }
}
