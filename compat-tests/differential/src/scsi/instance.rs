//! One path's checker, called as the hosts of an ABI call it.

use crate::scsi::implementation::Implementation;
use crate::scsi::libmultipath::LibraryPath;
use crate::scsi::loaded::Loaded;
use crate::scsi::protocol_lines::{Call, Outcome};
use harness::abi::Abi;
use harness::async_plugin::AsyncPlugin;
use harness::checker_struct::Checker;
use harness::host;
use harness::plugin::Plugin;
use harness::state::State;
use std::ffi::{c_int, c_long, c_short, c_void};
use std::ptr::null_mut;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The text of a check that has not ended, in every release that has one.
const RUNNING: &str = " still running";

/// "No value" in a map's word.
const NO_VALUE: c_long = -1;

/// A path with its checker.
pub(crate) struct Instance<'a> {
    abi: Abi,
    plugin: &'a Loaded,
    form: Form<'a>,
}

/// The host that calls the plugin.
enum Form<'a> {
    /// This program, with a struct checker of its own.
    Entries(&'a Plugin, Direct),
    /// 0.15's libmultipath.
    Function(&'a AsyncPlugin, LibraryPath<'a>),
}

/// What this program keeps for a plugin that it calls.
struct Direct {
    checker: Checker,
    /// 0.15: the map's word, while the path has a map.
    word: Option<Box<c_long>>,
}

impl<'a> Instance<'a> {
    /// A path as the host sets it up, before `libcheck_init`.
    ///
    /// # Panics
    /// Without memory.
    pub(crate) fn new(of: &'a Implementation, fd: c_int, timeout: u32) -> Instance<'a> {
        let Implementation {
            abi, ref plugin, ..
        } = *of;
        let form = match plugin {
            Loaded::Entries(plugin) => {
                #[expect(clippy::expect_used, reason = "a test without memory may end")]
                let mut checker = Checker::new(abi, host::class(), fd, timeout)
                    .expect("memory for a struct checker");
                checker.leave_map();
                let word = None;
                Form::Entries(plugin, Direct { checker, word })
            }
            Loaded::Function(plugin, host) => {
                Form::Function(plugin, LibraryPath::new(host, fd, timeout))
            }
        };
        Instance { abi, plugin, form }
    }

    /// `libcheck_init`.
    pub(crate) fn init(&mut self) -> c_int {
        match &mut self.form {
            Form::Entries(plugin, own) => {
                // SAFETY: `call` passes a struct of this plugin's ABI.
                call(plugin, &mut own.checker, |plugin, checker| unsafe {
                    plugin.init(checker)
                })
            }
            Form::Function(_, path) => path.init(),
        }
    }

    /// 0.15: lets upstream's preparation do what it was written for. The host's own call has no
    /// descriptor.
    pub(crate) fn prepare_as_meant(&self) {
        if let Form::Function(plugin, path) = &self.form {
            path.prepare_as_meant(plugin);
        }
    }

    /// Gives the path a map, and the plugin the chance to make a value in it.
    pub(crate) fn join_map(&mut self, with_value: bool) {
        match &mut self.form {
            Form::Entries(_, own) if self.abi == Abi::V0_15 => own.word = Some(Box::new(NO_VALUE)),
            Form::Entries(plugin, own) => {
                own.checker.join_map();
                if with_value {
                    own.checker.invite_map_value();
                    // SAFETY: as in `init`.
                    call(plugin, &mut own.checker, |plugin, checker| unsafe {
                        plugin.mp_init(checker)
                    });
                }
            }
            Form::Function(_, path) => path.join_map(),
        }
    }

    /// The map's value, if there is one.
    pub(crate) fn map_value(&self) -> Option<c_long> {
        match &self.form {
            Form::Entries(_, own) => match &own.word {
                Some(word) => (**word != NO_VALUE).then_some(**word),
                None => own.checker.map_value().map(c_long::from),
            },
            Form::Function(_, path) => path.map_value(),
        }
    }

    /// Sets the map's value, as another path of the map would; in ABI 0.15 that is 0 or 1.
    pub(crate) fn set_map_value(&mut self, value: c_int) {
        let word = c_long::from(value != 0);
        match &mut self.form {
            Form::Entries(_, own) => match &mut own.word {
                Some(own) => **own = word,
                None => own.checker.set_map_value(value),
            },
            Form::Function(_, path) => path.set_map_value(word),
        }
    }

    /// `msgid`.
    pub(crate) fn message(&self) -> c_short {
        match &self.form {
            Form::Entries(_, own) => own.checker.msgid(),
            Form::Function(_, path) => path.message(),
        }
    }

    /// The text of `msgid`.
    pub(crate) fn text(&self) -> &'a str {
        self.plugin.message(self.message())
    }

    /// Sets `msgid` before a check. libmultipath does so itself, with 0.
    pub(crate) fn set_message(&mut self, id: c_short) {
        if let Form::Entries(_, own) = &mut self.form {
            own.checker.set_msgid(id);
        }
    }

    /// The message of upstream's function and its text, where the host may keep it to itself.
    pub(crate) fn hidden_message(&self) -> Option<(c_short, &'a str)> {
        let Form::Function(_, path) = &self.form else {
            return None;
        };
        let id = path.hidden_message();
        Some((id, self.plugin.message(id)))
    }

    /// `libcheck_check`. The host stores the state.
    pub(crate) fn check(&mut self) -> State {
        match &mut self.form {
            Form::Entries(plugin, own) => {
                let map = word(&mut own.word);
                // SAFETY: as in `init`; the word outlives the call, and only ABI 0.15 has a second
                // argument.
                let state = call(plugin, &mut own.checker, |plugin, checker| unsafe {
                    plugin.check(checker, map)
                });
                own.checker.set_path_state(state);
                state
            }
            Form::Function(_, path) => path.check(),
        }
    }

    /// `libcheck_pending`, if the host's ABI has that and the check is under way.
    pub(crate) fn pending(&mut self) -> Option<State> {
        match &mut self.form {
            Form::Entries(plugin, own) => {
                if own.checker.path_state() != Some(State::PENDING) {
                    return None;
                }
                let map = word(&mut own.word);
                // SAFETY: as in `check`.
                let state = call(plugin, &mut own.checker, |plugin, checker| unsafe {
                    plugin.pending(checker, map)
                })?;
                own.checker.set_path_state(state);
                Some(state)
            }
            Form::Function(_, path) => path.pending(),
        }
    }

    /// `libcheck_need_wait`, likewise.
    pub(crate) fn need_wait(&mut self) -> bool {
        match &mut self.form {
            Form::Entries(plugin, own) => {
                own.checker.path_state() == Some(State::PENDING)
                    // SAFETY: as in `init`.
                    && call(plugin, &mut own.checker, |plugin, checker| unsafe {
                        plugin.need_wait(checker)
                    })
                    .unwrap_or(false)
            }
            Form::Function(_, path) => path.need_wait(),
        }
    }

    /// A check by a host that polls until the verdict is there. `after` each call gets what it
    /// returned.
    ///
    /// # Panics
    /// When that takes as long as no check of an instant device does.
    pub(crate) fn verdict(&mut self, mut after: impl FnMut(Call, Outcome)) -> State {
        const LIMIT: Duration = Duration::from_secs(10);
        let begin = Instant::now();
        let mut call = Call::Check;
        loop {
            let state = match call {
                Call::Check => self.check(),
                _ => self.pending().unwrap_or(State::PENDING),
            };
            if state != State::PENDING || self.text() != RUNNING {
                after(call, Outcome::Verdict(state));
                return state;
            }
            after(call, Outcome::Running);
            assert!(begin.elapsed() < LIMIT, "a check does not end");
            sleep(Duration::from_micros(20));
            if self.abi != Abi::V0_7_9 {
                call = Call::Pending;
            }
        }
    }

    /// `libcheck_free`. Returns whether `context` is NULL afterwards, as far as it is the plugin's.
    pub(crate) fn free(self) -> bool {
        match self.form {
            Form::Entries(plugin, mut own) => {
                // SAFETY: as in `init`; the struct is not used after this.
                call(plugin, &mut own.checker, |plugin, checker| unsafe {
                    plugin.free(checker)
                });
                own.checker.context().is_null()
            }
            Form::Function(_, path) => {
                path.free();
                true
            }
        }
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

/// The second argument of ABI 0.15's calls.
fn word(word: &mut Option<Box<c_long>>) -> *mut c_void {
    word.as_deref_mut()
        .map_or(null_mut(), |word| (&raw mut *word).cast())
}
