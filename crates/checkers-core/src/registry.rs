// SPDX-License-Identifier: LGPL-2.0-or-later

//! The checker classes of a host, and what a host does with them: the part of libmultipath that its
//! `checkers.c` is.
//!
//! A *class* is a checker that can be selected by name; a [`Record`] is the host's struct of one path
//! that has selected one. How a class is loaded and what its functions look like is left to
//! the implementations of [`Loader`] and [`Module`], so nothing here depends on C.
//!
//! | module | subject |
//! |---|---|
//! | `name` | the name by which a class is selected |
//! | `class` | one class: references, the sync flag, when its module goes |
//! | `record` | the order in which a host calls a class's functions for one path |

#![forbid(unsafe_code)]

mod class;
mod name;
mod record;

pub use class::Class;
pub use name::Name;
pub use record::{
    InitFailed, Record, check, disable, enable, init, mp_init, need_wait, put, state,
};

use crate::PathState;
use crate::memory::{OutOfMemory, try_box};
use crate::sync::{Mutex, lock};
use std::ffi::CStr;

/// The functions of a loaded checker.
pub trait Module: Copy + Send + 'static {
    /// The host's struct of one path, which the functions are called with.
    type Record: Record;

    /// Makes the instance of a path. `false` when the path cannot be checked.
    fn init(self, record: &mut Self::Record) -> bool;
    /// Fills the place that the paths of a map share. `false` when that failed; a checker that has no
    /// use for the place succeeds.
    fn mp_init(self, record: &mut Self::Record) -> bool;
    /// Checks the path and returns its state.
    fn check(self, record: &mut Self::Record) -> PathState;
    /// Collects the result of a check in flight; `None` if the checker has no such function.
    fn pending(self, record: &mut Self::Record) -> Option<PathState>;
    /// Whether a check was started whose result has not been asked for yet.
    fn need_wait(self, record: &mut Self::Record) -> bool;
    /// Ends the instance of a path.
    fn free(self, record: &mut Self::Record);
    /// Releases what all instances shared.
    fn reset(self);
    /// The end: none of the functions is called any more.
    fn unload(self, name: &Name);
}

/// Where modules come from.
pub trait Loader {
    /// What is loaded.
    type Module: Module;

    /// Loads the checker with this name. Why there is none has been logged.
    fn load(&self, name: &Name) -> Option<Self::Module>;
}

/// All classes of a host.
///
/// A class that was ever loaded keeps its place for good, so that a reference to it never dangles;
/// its module goes when the last reference is given back. Their number is therefore that of the
/// distinct names that were ever loaded.
pub struct Registry<M: Module> {
    /// Held while a class is being looked up or loaded, so that none is loaded twice.
    loading: Mutex<()>,
    classes: Mutex<Vec<&'static Class<M>>>,
}

impl<M: Module> Registry<M> {
    /// A registry without classes.
    pub const fn new() -> Registry<M> {
        Registry {
            loading: Mutex::new(()),
            classes: Mutex::new(Vec::new()),
        }
    }

    /// The class with this name, loaded if need be, with one more reference to it. `None` has been
    /// logged; it is worth trying again later, for plugins come and go.
    pub fn get(&self, loader: &impl Loader<Module = M>, name: &CStr) -> Option<&'static Class<M>> {
        self.find_or_load(loader, name, 1)
    }

    /// Loads a class without a reference for the caller, as a host does when it starts. Returns whether
    /// the class is there.
    pub fn add(&self, loader: &impl Loader<Module = M>, name: &CStr) -> bool {
        self.find_or_load(loader, name, 0).is_some()
    }

    /// Has every loaded class release what its instances shared.
    pub fn reset(&self) {
        self.each(|class| {
            if let Some(module) = class.module() {
                module.reset();
            }
        });
    }

    /// Drops the registry's own reference to every class, so that those without a path are
    /// unloaded now and the others with their last path.
    pub fn cleanup(&self) {
        self.each(Class::unlist);
    }

    fn find_or_load(
        &self,
        loader: &impl Loader<Module = M>,
        name: &CStr,
        references: usize,
    ) -> Option<&'static Class<M>> {
        if name.is_empty() {
            return None;
        }
        let _loading = lock(&self.loading);
        let known = lock(&self.classes)
            .iter()
            .copied()
            .find(|class| class.name().full() == name);
        match known {
            Some(class) if class.refer(references) => Some(class),
            Some(class) => class.load(loader, references).then_some(class),
            None => self
                .enter(loader, name, references)
                .inspect_err(|OutOfMemory| log::error!("out of memory, no checker class is loaded"))
                .ok()?,
        }
    }

    /// Gives a new class its place. A class that cannot be loaded gets none.
    fn enter(
        &self,
        loader: &impl Loader<Module = M>,
        name: &CStr,
        references: usize,
    ) -> Result<Option<&'static Class<M>>, OutOfMemory> {
        // The memory comes first, so that nothing has to be unloaded for want of it. Other threads may
        // read the list meanwhile, but none makes it longer: `loading` is held.
        lock(&self.classes)
            .try_reserve(1)
            .map_err(|_| OutOfMemory)?;
        let place = try_box(Class::new(Name::new(name)?))?;
        let [class] = &*place;
        if !class.load(loader, references) {
            return Ok(None);
        }
        let [class] = &*Box::leak(place);
        lock(&self.classes).push(class);
        Ok(Some(class))
    }

    /// Calls `what` for every class, the newest first, with no lock held meanwhile.
    fn each(&self, what: impl Fn(&'static Class<M>)) {
        let count = lock(&self.classes).len();
        for index in (0..count).rev() {
            let class = lock(&self.classes).get(index).copied();
            if let Some(class) = class {
                what(class);
            }
        }
    }
}

impl<M: Module> Default for Registry<M> {
    fn default() -> Self {
        Registry::new()
    }
}
