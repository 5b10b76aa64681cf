// SPDX-License-Identifier: LGPL-2.0-or-later

//! What a host does with the class of one path: which function it calls when, and what it reports
//! without calling any.
//!
//! A path without a class is not an error anywhere: a host asks first and selects later.

#![forbid(unsafe_code)]

use super::{Class, Module};
use crate::{MessageId, PathState};
use std::fmt;
use std::os::fd::RawFd;

/// The fields of the host's struct of one path that matter here.
pub trait Record {
    /// Where the host keeps the value that the paths of a map share.
    type Place: Copy;

    /// The path's descriptor; negative when there is none.
    fn fd(&self) -> RawFd;
    /// Whether the host has switched the checker of this path off.
    fn is_disabled(&self) -> bool;
    /// Switches the checker of this path off or on.
    fn set_disabled(&mut self, disabled: bool);
    /// Sets the message of the path's state.
    fn set_message(&mut self, message: MessageId);
    /// The state as it was stored last; `None` where the host's struct has no room for one
    /// (multipath-tools before 0.11.0).
    fn state(&self) -> Option<PathState>;
    /// Stores a state, where there is room for one.
    fn set_state(&mut self, state: PathState);
    /// The place of the map's value, if the path has a map.
    fn place(&self) -> Option<Self::Place>;
    /// Sets what [`Record::place`] returns.
    fn set_place(&mut self, place: Option<Self::Place>);
    /// Whether the place is there and holds nothing.
    fn place_is_empty(&self) -> bool;
}

/// The checker has declined the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitFailed;

impl fmt::Display for InitFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the checker cannot look at this path")
    }
}

impl std::error::Error for InitFailed {}

/// Makes the instance of a path, then fills the place that its map has for the class. If only the
/// latter fails, the path does without the place.
///
/// # Errors
/// When the checker declines the path. The path has to select a class anew then; giving the reference
/// back is the caller's part, as it knows where the reference is kept.
pub fn init<M: Module>(
    class: &Class<M>,
    record: &mut M::Record,
    place: Option<<M::Record as Record>::Place>,
) -> Result<(), InitFailed> {
    record.set_place(place);
    let Some(module) = class.module() else {
        return Ok(());
    };
    if !module.init(record) {
        return Err(InitFailed);
    }
    if record.place_is_empty() && !module.mp_init(record) {
        record.set_place(None);
    }
    Ok(())
}

/// Gives a path its map's place after it was initialised, unless it has one already.
///
/// # Errors
/// When the place could not be filled; the path does without it, and the next call tries again.
pub fn mp_init<M: Module>(
    class: &Class<M>,
    record: &mut M::Record,
    place: Option<<M::Record as Record>::Place>,
) -> Result<(), InitFailed> {
    if record.place().is_some() || place.is_none() {
        return Ok(());
    }
    record.set_place(place);
    match class.module() {
        Some(module) if record.place_is_empty() && !module.mp_init(record) => {
            record.set_place(None);
            Err(InitFailed)
        }
        _ => Ok(()),
    }
}

/// Checks a path and returns its state. `known` is its state as the host knows it from elsewhere; the class
/// `none` reports it unchanged.
pub fn check<M: Module>(
    class: Option<&Class<M>>,
    record: &mut M::Record,
    known: PathState,
) -> PathState {
    record.set_message(MessageId::NONE);
    let state = decide(class, record, known);
    record.set_state(state);
    state
}

fn decide<M: Module>(
    class: Option<&Class<M>>,
    record: &mut M::Record,
    known: PathState,
) -> PathState {
    if record.is_disabled() {
        record.set_message(MessageId::DISABLED);
        return PathState::Unchecked;
    }
    let Some(class) = class else {
        return PathState::Unchecked;
    };
    if class.name().is_none() {
        return known;
    }
    if record.fd() < 0 {
        record.set_message(MessageId::NO_FD);
        return PathState::Wild;
    }
    class
        .module()
        .map_or(PathState::Unchecked, |module| module.check(record))
}

/// The state of a path, after collecting the result of a check in flight.
pub fn state<M: Module>(class: Option<&Class<M>>, record: &mut M::Record) -> PathState {
    let (Some(class), Some(stored)) = (class, record.state()) else {
        return PathState::Unchecked;
    };
    if stored != PathState::Pending {
        return stored;
    }
    let Some(collected) = class.module().and_then(|module| module.pending(record)) else {
        return stored;
    };
    record.set_state(collected);
    collected
}

/// Whether a result may arrive within a moment, so that the host waits before it reads the [`state`].
pub fn need_wait<M: Module>(class: Option<&Class<M>>, record: &mut M::Record) -> bool {
    record.state() == Some(PathState::Pending)
        && class
            .and_then(Class::module)
            .is_some_and(|module| module.need_wait(record))
}

/// Switches the checker of a path off. A host that stores states must not collect the result of a
/// check in flight after that: it would undo the administrator's command.
pub fn disable(record: &mut impl Record) {
    record.set_disabled(true);
    if record.state().is_some() {
        record.set_message(MessageId::DISABLED);
        record.set_state(PathState::Unchecked);
    }
}

/// Switches the checker of a path on again.
pub fn enable(record: &mut impl Record) {
    record.set_disabled(false);
}

/// Ends the instance of a path. `clear` then empties the host's struct, before the reference to the
/// class is given back.
pub fn put<M: Module>(
    class: Option<&Class<M>>,
    record: &mut M::Record,
    clear: impl FnOnce(&mut M::Record),
) {
    if let Some(module) = class.and_then(Class::module) {
        module.free(record);
    }
    clear(record);
    if let Some(class) = class {
        class.release();
    }
}
