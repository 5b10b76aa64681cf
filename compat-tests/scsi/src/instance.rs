//! One path's checker, called as the hosts of an era call it.

use crate::async_checker::{AsyncChecker, NO_VALUE};
use crate::host;
use crate::loaded::Loaded;
use compat_tests::layout::{Checker, Era};
use compat_tests::plugin::Plugin;
use std::ffi::{c_int, c_long, c_short, c_void};
use std::ptr::null_mut;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PENDING: c_int = 6;

/// The text of a check that has not ended, in every release that has one.
const RUNNING: &str = " still running";

/// What `cls` points to: nothing that a plugin may look at.
static CLASS: u64 = 0;

/// A struct checker and the plugin that it belongs to.
pub(crate) struct Instance<'a> {
    era: Era,
    plugin: &'a Loaded,
    form: Form<'a>,
    checker: Checker,
    /// Era D: the map's word, while the path has a map.
    word: Option<Box<c_long>>,
}

/// Who keeps the protocol.
enum Form<'a> {
    /// The plugin.
    Entries(&'a Plugin),
    /// The host.
    Function(AsyncChecker<'a>),
}

impl<'a> Instance<'a> {
    /// A struct as the host sets it up, before `libcheck_init`.
    ///
    /// # Panics
    /// Without memory.
    pub(crate) fn new(plugin: &'a Loaded, era: Era, fd: c_int, timeout: u32) -> Instance<'a> {
        let class: *const u64 = &raw const CLASS;
        #[expect(clippy::expect_used, reason = "a test without memory may end")]
        let mut checker = Checker::new(era, class.cast_mut().cast(), fd, timeout)
            .expect("memory for a struct checker");
        checker.leave_map();
        let form = match plugin {
            Loaded::Entries(plugin) => Form::Entries(plugin),
            Loaded::Function(plugin, runners) => Form::Function(AsyncChecker::new(plugin, runners)),
        };
        Instance {
            era,
            plugin,
            form,
            checker,
            word: None,
        }
    }

    /// `libcheck_init`.
    pub(crate) fn init(&mut self) -> c_int {
        match &mut self.form {
            // SAFETY: `call` passes a struct of this plugin's era.
            Form::Entries(plugin) => call(plugin, &mut self.checker, |plugin, checker| unsafe {
                plugin.init(checker)
            }),
            Form::Function(host) => host.init(),
        }
    }

    /// Era D: lets C's preparation do what it was written for. The host's own call has no descriptor.
    pub(crate) fn prepare_as_meant(&self) {
        if let Form::Function(host) = &self.form {
            host.prepare_as_meant(&self.checker);
        }
    }

    /// Gives the path a map, and the plugin the chance to make a value in it.
    pub(crate) fn join_map(&mut self, with_value: bool) {
        if self.era == Era::D {
            self.word = Some(Box::new(NO_VALUE));
            return;
        }
        self.checker.join_map();
        if let (Form::Entries(plugin), true) = (&self.form, with_value) {
            self.checker.invite_map_value();
            // SAFETY: as in `init`.
            call(plugin, &mut self.checker, |plugin, checker| unsafe {
                plugin.mp_init(checker)
            });
        }
    }

    /// The map's value, if there is one.
    pub(crate) fn map_value(&self) -> Option<c_long> {
        match &self.word {
            Some(word) => (**word != NO_VALUE).then_some(**word),
            None => self.checker.map_value().map(c_long::from),
        }
    }

    /// Sets the map's value, as another path of the map would; in era D that is 0 or 1.
    pub(crate) fn set_map_value(&mut self, value: c_int) {
        match &mut self.word {
            Some(word) => **word = c_long::from(value != 0),
            None => self.checker.set_map_value(value),
        }
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

    /// The message of C's function and its text, where the host may keep it to itself.
    pub(crate) fn hidden_message(&mut self) -> Option<(c_short, &'a str)> {
        let Form::Function(host) = &mut self.form else {
            return None;
        };
        let id = host.message();
        Some((id, self.plugin.message(id)))
    }

    /// `libcheck_check`. The host stores the state.
    pub(crate) fn check(&mut self) -> c_int {
        let state = match &mut self.form {
            Form::Entries(plugin) => {
                let map = word(&mut self.word);
                // SAFETY: as in `init`; the word outlives the call, and only era D has a second
                // argument.
                call(plugin, &mut self.checker, |plugin, checker| unsafe {
                    plugin.check(checker, map)
                })
            }
            Form::Function(host) => {
                let sync = host::is_sync() != 0;
                host.check(&mut self.checker, self.word.as_deref_mut(), sync)
            }
        };
        self.checker.set_path_state(state);
        state
    }

    /// `libcheck_pending`, if the host's era has that and the check is under way.
    pub(crate) fn pending(&mut self) -> Option<c_int> {
        if self.checker.path_state() != Some(PENDING) {
            return None;
        }
        let state = match &mut self.form {
            Form::Entries(plugin) => {
                let map = word(&mut self.word);
                // SAFETY: as in `check`.
                call(plugin, &mut self.checker, |plugin, checker| unsafe {
                    plugin.pending(checker, map)
                })?
            }
            Form::Function(host) => host.pending(&mut self.checker, self.word.as_deref_mut()),
        };
        self.checker.set_path_state(state);
        Some(state)
    }

    /// `libcheck_need_wait`, likewise.
    pub(crate) fn need_wait(&mut self) -> bool {
        if self.checker.path_state() != Some(PENDING) {
            return false;
        }
        match &mut self.form {
            // SAFETY: as in `init`.
            Form::Entries(plugin) => call(plugin, &mut self.checker, |plugin, checker| unsafe {
                plugin.need_wait(checker)
            })
            .unwrap_or(false),
            Form::Function(host) => host.need_wait(),
        }
    }

    /// A check by a host that comes back until the verdict is there.
    ///
    /// # Panics
    /// When that takes as long as no check of an instant device does.
    pub(crate) fn verdict(&mut self) -> c_int {
        const PATIENCE: Duration = Duration::from_secs(10);
        let begin = Instant::now();
        let mut state = self.check();
        while state == PENDING && self.text() == RUNNING {
            assert!(begin.elapsed() < PATIENCE, "a check does not end");
            sleep(Duration::from_micros(20));
            state = match self.era {
                Era::B => self.check(),
                _ => self.pending().unwrap_or(state),
            };
        }
        state
    }

    /// `libcheck_free`. Says whether `context` is NULL afterwards.
    pub(crate) fn free(mut self) -> bool {
        match &mut self.form {
            // SAFETY: as in `init`; the struct is not used after this.
            Form::Entries(plugin) => call(plugin, &mut self.checker, |plugin, checker| unsafe {
                plugin.free(checker)
            }),
            Form::Function(host) => host.free(),
        }
        self.checker.context().is_null()
    }
}

/// A host's call. Afterwards nothing must have changed but what belongs to the plugin.
fn call<R>(
    plugin: &Plugin,
    checker: &mut Checker,
    call: impl FnOnce(&Plugin, *mut c_void) -> R,
) -> R {
    let result = call(plugin, checker.as_ptr());
    assert_eq!(checker.harm(), None);
    result
}

/// The second argument of era D's calls.
fn word(word: &mut Option<Box<c_long>>) -> *mut c_void {
    word.as_deref_mut()
        .map_or(null_mut(), |word| (&raw mut *word).cast())
}
