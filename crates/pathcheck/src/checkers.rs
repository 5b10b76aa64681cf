//! The checkers to choose from.

use checkers_core::{Call, Checker, InitError, MessageTable, Verdict};

/// The checker that is used unless another one is asked for.
pub(crate) const DEFAULT: &str = checker_directio::Directio::NAME;

const CLASSES: &[Class] = &[Class::of::<checker_directio::Directio>()];

/// A kind of checker, by name.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) messages: MessageTable,
    /// [`Checker::init`].
    pub(crate) init: fn(&mut Call) -> Result<Box<dyn Instance>, InitError>,
}

impl Class {
    const fn of<C: Checker>() -> Class {
        Class {
            name: C::NAME,
            messages: C::MESSAGES,
            init: |call| Ok(Box::new(C::init(call)?)),
        }
    }

    /// The class of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Class> {
        CLASSES.iter().find(|class| class.name == name)
    }
}

/// A [`Checker`] of any class.
pub(crate) trait Instance: Send {
    fn check(&mut self, call: &mut Call) -> Verdict;
    fn pending(&mut self, call: &mut Call) -> Verdict;
    fn free(self: Box<Self>, call: &Call);
}

impl<C: Checker> Instance for C {
    fn check(&mut self, call: &mut Call) -> Verdict {
        Checker::check(self, call)
    }

    fn pending(&mut self, call: &mut Call) -> Verdict {
        Checker::pending(self, call)
    }

    fn free(self: Box<Self>, call: &Call) {
        Checker::free(*self, call);
    }
}
