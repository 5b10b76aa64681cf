// SPDX-License-Identifier: LGPL-2.0-or-later

//! A loaded `libcheck<name>.so`: opened, searched and asked as `libmultipath` does it.

use crate::abi::Abi;
use crate::state::State;
use crate::{Result, Trouble};
use std::ffi::{CStr, CString, c_char, c_int, c_short, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `libcheck_check` and `libcheck_pending`. Hosts before 0.15.0 pass one argument; what they leave
/// in the place of the second one is undefined, so an invalid address is passed there.
type CheckFn = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
type InitFn = unsafe extern "C" fn(*mut c_void) -> c_int;
type FreeFn = unsafe extern "C" fn(*mut c_void);
type ResetFn = unsafe extern "C" fn();
type NeedWaitFn = unsafe extern "C" fn(*mut c_void) -> bool;
type AssumeFn = unsafe extern "C" fn(c_int) -> c_int;

/// `libcheck_thread`, which libmultipath up to 0.14.x runs on a thread of its own.
pub type ThreadFn = extern "C" fn(*mut c_void) -> *mut c_void;

/// The texts that belong to the host, by message id.
const GENERIC: [&str; 11] = [
    "",
    " is disabled",
    " has no usable fd",
    " provided invalid message id",
    " reports path is up",
    " reports path is down",
    " reports path is ghost",
    " doesn't support this device",
    " no access to this device",
    " timed out",
    " still running",
];

/// The first message id of a plugin's own table, and the size that table may have.
const FIRST_OWN: usize = 100;

/// A plugin and its entry points.
pub struct Plugin {
    handle: *mut c_void,
    abi: Abi,
    check: CheckFn,
    init: InitFn,
    mp_init: Option<InitFn>,
    thread: Option<ThreadFn>,
    free: FreeFn,
    reset: Option<ResetFn>,
    pending: Option<CheckFn>,
    need_wait: Option<NeedWaitFn>,
    assume_abi: Option<AssumeFn>,
    messages: Vec<String>,
}

// SAFETY: the handle and the functions are the process's, not a thread's.
unsafe impl Send for Plugin {}

// SAFETY: a host calls the functions of a plugin from any of its threads. The handle is used by
// `unload` alone, which takes the plugin for itself.
unsafe impl Sync for Plugin {}

/// `dlerror` as a text.
fn loader_error() -> String {
    // SAFETY: dlerror gives a valid string or NULL, valid until the thread's next dl call.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() {
            "unknown error of the dynamic linker".to_owned()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}

/// Opens a shared object.
///
/// # Errors
/// What the dynamic linker says.
pub fn open(path: &Path, flags: c_int) -> Result<*mut c_void> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Trouble::Broken("a path with a NUL".to_owned()))?;
    // SAFETY: `name` is a string; loading runs the object's constructors, which is what a test of
    // plugins is for.
    let handle = unsafe { libc::dlopen(name.as_ptr(), flags) };
    if handle.is_null() {
        return Err(Trouble::Broken(loader_error()));
    }
    Ok(handle)
}

/// The address of a symbol, NULL when it is not there.
pub(crate) fn symbol(handle: *mut c_void, name: &CStr) -> *mut c_void {
    // SAFETY: `handle` came from dlopen and `name` is a string.
    unsafe { libc::dlsym(handle, name.as_ptr()) }
}

/// A function of the plugin.
///
/// # Safety
/// `F` must be the type of a function pointer that fits the function called `name`.
pub(crate) unsafe fn function<F>(handle: *mut c_void, name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    let address = symbol(handle, name);
    // SAFETY: a pointer that dlsym gave for a function, converted to the type that the caller
    // vouches for; the sizes agree.
    (!address.is_null()).then(|| unsafe { std::mem::transmute_copy(&address) })
}

impl Plugin {
    /// Loads the plugin and looks up what a host of this ABI looks up.
    ///
    /// # Errors
    /// When the dynamic linker refuses, or a required function is missing.
    pub fn load(path: &Path, abi: Abi) -> Result<Plugin> {
        let handle = open(path, libc::RTLD_NOW)?;
        let missing = |name: &str| Trouble::Broken(format!("{}: no {name}", path.display()));
        let (later, earlier) = (abi >= Abi::V0_11, abi < Abi::V0_15);
        // SAFETY: the types are those of the checker ABI (libmultipath/checkers.h of the
        // releases), and of our own extension libcheck_assume_abi.
        let plugin = unsafe {
            Plugin {
                handle,
                abi,
                check: function(handle, c"libcheck_check")
                    .ok_or_else(|| missing("libcheck_check"))?,
                init: function(handle, c"libcheck_init").ok_or_else(|| missing("libcheck_init"))?,
                mp_init: earlier
                    .then(|| function(handle, c"libcheck_mp_init"))
                    .flatten(),
                reset: function(handle, c"libcheck_reset"),
                thread: earlier
                    .then(|| function(handle, c"libcheck_thread"))
                    .flatten(),
                pending: later
                    .then(|| function(handle, c"libcheck_pending"))
                    .flatten(),
                need_wait: later
                    .then(|| function(handle, c"libcheck_need_wait"))
                    .flatten(),
                free: function(handle, c"libcheck_free").ok_or_else(|| missing("libcheck_free"))?,
                assume_abi: function(handle, c"libcheck_assume_abi"),
                messages: read_table(symbol(handle, c"libcheck_msgtable")),
            }
        };
        if abi == Abi::V0_15 && !symbol(handle, c"libcheck_async_func").is_null() {
            return Err(Trouble::Broken(
                "libcheck_async_func is exported: 0.15.0 would call nothing else".to_owned(),
            ));
        }
        Ok(plugin)
    }

    /// Unloads the plugin as a host does when its last user is gone: `libcheck_reset`, then
    /// `dlclose`.
    pub fn unload(self) {
        self.reset();
        // SAFETY: the handle came from dlopen, and no entry point is used after this.
        unsafe { libc::dlclose(self.handle) };
    }

    /// `libcheck_init`.
    ///
    /// # Safety
    /// `checker` must point to a struct checker in the layout of this plugin's ABI, which no other
    /// thread uses during the call. The same holds for every function below that takes one.
    pub unsafe fn init(&self, checker: *mut c_void) -> c_int {
        // SAFETY: the caller vouches for the struct.
        unsafe { (self.init)(checker) }
    }

    /// `libcheck_mp_init`, if there is one that this host knows.
    ///
    /// # Safety
    /// As [`Plugin::init`].
    pub unsafe fn mp_init(&self, checker: *mut c_void) -> Option<c_int> {
        self.mp_init
            // SAFETY: the caller vouches for the struct.
            .map(|mp_init| unsafe { mp_init(checker) })
    }

    /// `libcheck_thread`, if there is one that this host knows.
    pub fn thread(&self) -> Option<ThreadFn> {
        self.thread
    }

    /// `libcheck_check`; `map` is the second argument of 0.15.0, a pointer to a word or NULL.
    ///
    /// # Safety
    /// As [`Plugin::init`]; `map` must be NULL or point to a word.
    pub unsafe fn check(&self, checker: *mut c_void, map: *mut c_void) -> State {
        // SAFETY: the caller vouches for both. Before 0.15.0 the plugin must not read the second
        // argument, and the C calling conventions let a function ignore arguments.
        State(unsafe { (self.check)(checker, self.second(map)) })
    }

    /// `libcheck_pending`, if there is one that this host knows.
    ///
    /// # Safety
    /// As [`Plugin::check`].
    pub unsafe fn pending(&self, checker: *mut c_void, map: *mut c_void) -> Option<State> {
        let map = self.second(map);
        // SAFETY: as in `check`.
        self.pending
            .map(|pending| State(unsafe { pending(checker, map) }))
    }

    /// `libcheck_need_wait`, if there is one that this host knows.
    ///
    /// # Safety
    /// As [`Plugin::init`].
    pub unsafe fn need_wait(&self, checker: *mut c_void) -> Option<bool> {
        // SAFETY: the caller vouches for the struct.
        self.need_wait
            .map(|need_wait| unsafe { need_wait(checker) })
    }

    /// `libcheck_free`.
    ///
    /// # Safety
    /// As [`Plugin::init`].
    pub unsafe fn free(&self, checker: *mut c_void) {
        // SAFETY: the caller vouches for the struct.
        unsafe { (self.free)(checker) }
    }

    /// `libcheck_reset`, if there is one.
    pub fn reset(&self) {
        if let Some(reset) = self.reset {
            // SAFETY: the function takes nothing and may be called at any time by the host.
            unsafe { reset() }
        }
    }

    /// `libcheck_assume_abi`, if there is one: only ours has it.
    pub fn assume_abi(&self, letter: c_int) -> Option<c_int> {
        // SAFETY: the function takes any number.
        self.assume_abi.map(|assume| unsafe { assume(letter) })
    }

    /// The text that `checker_message` of this ABI's hosts finds for a message id.
    pub fn message(&self, id: c_short) -> &str {
        message(self.abi, &self.messages, id)
    }

    /// The plugin's own messages.
    pub fn messages(&self) -> &[String] {
        &self.messages
    }

    fn second(&self, map: *mut c_void) -> *mut c_void {
        if self.abi == Abi::V0_15 {
            map
        } else {
            // The zero page is never mapped: following this pointer ends the process.
            std::ptr::without_provenance_mut(8)
        }
    }
}

/// The text that `checker_message` of an ABI's hosts finds for a message id; `own` is the plugin's
/// table.
pub fn message(abi: Abi, own: &[String], id: c_short) -> &str {
    let Ok(id) = usize::try_from(id) else {
        return "";
    };
    if id < abi.generic_messages() {
        return GENERIC.get(id).copied().unwrap_or("");
    }
    id.checked_sub(FIRST_OWN)
        .and_then(|index| own.get(index))
        .map_or("", String::as_str)
}

/// Copies a `libcheck_msgtable`: pointers to strings up to the first NULL, at most 100.
pub(crate) fn read_table(table: *mut c_void) -> Vec<String> {
    let mut texts = Vec::new();
    if table.is_null() {
        return texts;
    }
    let table = table.cast::<*const c_char>();
    for index in 0..FIRST_OWN {
        // SAFETY: the ABI makes the table end with NULL, and we stop there.
        let text = unsafe { *table.add(index) };
        if text.is_null() {
            break;
        }
        // SAFETY: what the table points to are C strings that live as long as the plugin.
        texts.push(
            unsafe { CStr::from_ptr(text) }
                .to_string_lossy()
                .into_owned(),
        );
    }
    texts
}
