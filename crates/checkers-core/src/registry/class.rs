// SPDX-License-Identifier: LGPL-2.0-or-later

//! One checker class: its references, whether its checks may wait, and when its module is unloaded.

#![forbid(unsafe_code)]

use super::{Loader, Module, Name};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, lock};

/// A checker that paths can select.
pub struct Class<M> {
    name: Name,
    sync: AtomicBool,
    usage: Mutex<Usage<M>>,
}

struct Usage<M> {
    content: Content<M>,
    /// How many paths and threads use the class, and one for the registry while it is listed.
    references: usize,
    listed: bool,
}

#[derive(Clone, Copy)]
enum Content<M> {
    /// Not loaded, or unloaded again.
    Absent,
    /// The class `none`.
    Empty,
    Module(M),
}

impl<M: Module> Class<M> {
    pub(super) fn new(name: Name) -> Class<M> {
        Class {
            name,
            sync: AtomicBool::new(true),
            usage: Mutex::new(Usage {
                content: Content::Absent,
                references: 0,
                listed: false,
            }),
        }
    }

    /// The name that selects the class.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Whether the host lets the checks of this class wait for their devices. The flag belongs to the
    /// class: a host sets it before each check.
    pub fn is_sync(&self) -> bool {
        self.sync.load(Ordering::Relaxed)
    }

    /// Sets what [`Class::is_sync`] returns.
    pub fn set_sync(&self, sync: bool) {
        self.sync.store(sync, Ordering::Relaxed);
    }

    /// The functions; `None` for the class `none`.
    pub fn module(&self) -> Option<M> {
        match lock(&self.usage).content {
            Content::Module(module) => Some(module),
            Content::Absent | Content::Empty => None,
        }
    }

    /// Adds a reference, for a caller that has the class from a path with a reference. Returns `false`
    /// when that path has released its own and the class is gone.
    pub fn hold(&self) -> bool {
        self.refer(1)
    }

    /// Releases a reference. With the last one the module is reset and unloaded.
    pub fn release(&self) {
        let mut usage = lock(&self.usage);
        let Some(left) = usage.references.checked_sub(1) else {
            drop(usage);
            log::warn!("{} checker refcount -1", self.name);
            return;
        };
        usage.references = left;
        if left > 0 {
            drop(usage);
            log::trace!("{} checker refcount {left}", self.name);
            return;
        }
        let content = std::mem::replace(&mut usage.content, Content::Absent);
        drop(usage);
        log::debug!("unloading {} checker", self.name);
        if let Content::Module(module) = content {
            module.reset();
            module.unload(&self.name);
        }
    }

    /// Adds references, if the class is loaded.
    pub(super) fn refer(&self, references: usize) -> bool {
        let mut usage = lock(&self.usage);
        let loaded = !matches!(usage.content, Content::Absent);
        if loaded {
            usage.references += references;
        }
        loaded
    }

    /// Loads the class and lists it, with this many references besides the registry's. Returns
    /// whether that succeeded.
    pub(super) fn load(&self, loader: &impl Loader<Module = M>, references: usize) -> bool {
        let content = if self.name.is_none() {
            Content::Empty
        } else {
            match loader.load(&self.name) {
                Some(module) => Content::Module(module),
                None => return false,
            }
        };
        self.set_sync(true);
        *lock(&self.usage) = Usage {
            content,
            references: 1 + references,
            listed: true,
        };
        true
    }

    /// Releases the registry's reference.
    pub(super) fn unlist(&self) {
        if std::mem::take(&mut lock(&self.usage).listed) {
            self.release();
        }
    }
}
