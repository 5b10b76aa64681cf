//! One path's checker, called as multipath-tools 0.9.4 calls it.

use compat_tests::layout::{Checker, Era};
use compat_tests::plugin::Plugin;
use std::ffi::{c_int, c_short, c_void};
use std::ptr::null_mut;

/// The ABI of 0.9.4.
pub(crate) const ERA: Era = Era::B;

/// What `cls` points to: nothing that a plugin may look at.
static CLASS: u64 = 0;

/// A struct checker and the plugin that it belongs to.
pub(crate) struct Instance<'a> {
    plugin: &'a Plugin,
    checker: Checker,
}

impl<'a> Instance<'a> {
    /// A struct as the host sets it up, before `libcheck_init`.
    ///
    /// # Panics
    /// Without memory.
    pub(crate) fn new(plugin: &'a Plugin, fd: c_int, timeout: u32) -> Instance<'a> {
        let class: *const u64 = &raw const CLASS;
        #[expect(clippy::expect_used, reason = "a test without memory may end")]
        let mut checker = Checker::new(ERA, class.cast_mut().cast(), fd, timeout)
            .expect("memory for a struct checker");
        checker.leave_map();
        Instance { plugin, checker }
    }

    /// A host's call. Afterwards nothing must have changed but what belongs to the plugin.
    fn call<R>(&mut self, call: impl FnOnce(&Plugin, *mut c_void) -> R) -> R {
        let result = call(self.plugin, self.checker.as_ptr());
        assert_eq!(self.checker.harm(), None);
        result
    }

    /// `libcheck_init`.
    pub(crate) fn init(&mut self) -> c_int {
        // SAFETY: `call` passes a struct of this plugin's era.
        self.call(|plugin, checker| unsafe { plugin.init(checker) })
    }

    /// Gives the path a map, and the plugin the chance to make a value in it.
    pub(crate) fn join_map(&mut self, with_value: bool) {
        self.checker.join_map();
        if with_value {
            self.checker.invite_map_value();
            // SAFETY: likewise.
            self.call(|plugin, checker| unsafe { plugin.mp_init(checker) });
        }
    }

    /// The map's value, if the plugin has made one.
    pub(crate) fn map_value(&self) -> Option<c_int> {
        self.checker.map_value()
    }

    /// Sets the map's value, as another path of the map would.
    pub(crate) fn set_map_value(&mut self, value: c_int) {
        self.checker.set_map_value(value);
    }

    /// `msgid`.
    pub(crate) fn message(&self) -> c_short {
        self.checker.msgid()
    }

    /// The text of `msgid`.
    pub(crate) fn text(&self) -> &'a str {
        self.plugin.message(self.checker.msgid())
    }

    /// Sets `msgid`, as the host does before every check.
    pub(crate) fn set_message(&mut self, id: c_short) {
        self.checker.set_msgid(id);
    }

    /// `libcheck_check`.
    pub(crate) fn check(&mut self) -> c_int {
        // SAFETY: likewise; this era has no second argument.
        self.call(|plugin, checker| unsafe { plugin.check(checker, null_mut()) })
    }

    /// `libcheck_free`. Says whether `context` is NULL afterwards.
    pub(crate) fn free(mut self) -> bool {
        // SAFETY: likewise; the struct is not used after this.
        self.call(|plugin, checker| unsafe { plugin.free(checker) });
        self.checker.context().is_null()
    }
}
