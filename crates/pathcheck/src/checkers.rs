// SPDX-License-Identifier: LGPL-2.0-or-later

//! The checkers to choose from.

use crate::rdac::RdacReadOnly;
use crate::reason::Reason;
use checkers::checker_directio::Directio;
use checkers_core::{Asynchronous, Call, Checker, InitError, MessageTable, Probe, Verdict};

macro_rules! classes {
    ($({ $name:ident $crate_name:ident $checker:ty $(, probe $probe:ty)? $(, scsi $scsi:ty)? })*) => {
        &[$(Class::of::<$checker>()),*]
    };
}

const CLASSES: &[Class] = checkers::for_each_checker!(classes);

/// rdac without MODE SELECT.
const RDAC_READ_ONLY: &Class = &Class::of::<Asynchronous<RdacReadOnly>>();

/// The names of all checkers.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CLASSES.iter().map(|class| class.name)
}

/// A kind of checker, by name.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) messages: MessageTable,
    /// [`Checker::init`].
    pub(crate) init: fn(&Call) -> Result<Box<dyn Instance>, InitError>,
}

impl Class {
    pub(crate) const fn of<C: Explain>() -> Class {
        Class {
            name: C::NAME,
            messages: C::MESSAGES,
            init: |call| Ok(Box::new(C::init(call).instance?)),
        }
    }

    /// The class of this name; `mode_select` allows rdac to change the array's settings.
    pub(crate) fn named(name: &str, mode_select: bool) -> Option<&'static Class> {
        if !mode_select && name == RDAC_READ_ONLY.name {
            return Some(RDAC_READ_ONLY);
        }
        CLASSES.iter().find(|class| class.name == name)
    }
}

/// A checker with a reason for its verdict.
pub(crate) trait Explain: Checker {
    /// The device's last reply, if it has replied.
    fn explain(&self) -> Option<Reason>;
}

impl Explain for Directio {
    fn explain(&self) -> Option<Reason> {
        self.failure().map(Reason::from)
    }
}

impl<P: Probe<LastReply: Into<Reason>>> Explain for Asynchronous<P> {
    fn explain(&self) -> Option<Reason> {
        self.last_reply().map(Into::into)
    }
}

/// A [`Checker`] of any class.
pub(crate) trait Instance: Send {
    fn check(&mut self, call: &Call) -> Verdict;
    fn pending(&mut self, call: &Call) -> Verdict;
    fn explain(&self) -> Option<Reason>;
    fn free(self: Box<Self>, call: &Call);
}

impl<C: Explain> Instance for C {
    fn check(&mut self, call: &Call) -> Verdict {
        Checker::check(self, call).verdict
    }

    fn pending(&mut self, call: &Call) -> Verdict {
        Checker::pending(self, call).verdict
    }

    fn explain(&self) -> Option<Reason> {
        Explain::explain(self)
    }

    fn free(self: Box<Self>, call: &Call) {
        Checker::free(*self, call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use checkers::checker_rdac::Rdac;

    #[test]
    fn rdac_changes_the_array_only_when_that_is_allowed() {
        const { assert!(Rdac::HAS_SETUP && !RdacReadOnly::HAS_SETUP) };
        let init = |mode_select| Class::named("rdac", mode_select).unwrap().init;
        assert!(std::ptr::fn_addr_eq(init(false), RDAC_READ_ONLY.init));
        assert!(!std::ptr::fn_addr_eq(init(true), RDAC_READ_ONLY.init));
        for name in names().filter(|name| *name != "rdac") {
            assert_eq!(Class::named(name, true).unwrap().name, name);
        }
    }
}
