// SPDX-License-Identifier: LGPL-2.0-or-later

//! Which host has loaded the checkers. It is detected once and never guessed: writing the members of one
//! layout into the struct of another corrupts the daemon's memory.

use super::log::{self, Dlog};
use super::{Symbols, process, unknown};
use crate::abi::{self, Abi, HostChecker};
use checkers_core::Mode;
use checkers_core::sync::lock;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

/// `int checker_is_sync(const struct checker *)`
pub type IsSync = unsafe extern "C" fn(*const c_void) -> c_int;

/// What is known of the host.
pub(crate) struct Host {
    pub(crate) abi: Abi,
    is_sync: Option<IsSync>,
}

impl Host {
    const fn assumed(abi: Abi) -> Host {
        Host { abi, is_sync: None }
    }

    /// Whether the host can wait for the verdict of this checker, which must be one of its structs.
    pub(crate) fn mode(&self, checker: HostChecker) -> Mode {
        let sync = match self.is_sync {
            // SAFETY: the function is the host's own and gets the host's own struct, by the promise given
            // to `HostChecker::new`.
            Some(is_sync) => unsafe { is_sync(checker.as_ptr()) != 0 },
            // A program that has named its ABI has no such function. Its checks are asynchronous, since these
            // cannot hang the caller.
            None => false,
        };
        if sync { Mode::Sync } else { Mode::Async }
    }
}

/// A host with libmultipath, or the library form itself.
static REAL: OnceLock<Host> = OnceLock::new();
static ASSUMED_V0_7_9: Host = Host::assumed(Abi::V0_7_9);
static ASSUMED_V0_11: Host = Host::assumed(Abi::V0_11);
static ASSUMED_V0_15: Host = Host::assumed(Abi::V0_15);

/// The letter that [`assume`] has accepted; 0 for none.
static ASSUMED: AtomicU8 = AtomicU8::new(0);

/// The number of instances. The layout must not change while there are any.
static INSTANCES: AtomicUsize = AtomicUsize::new(0);

/// Held while the host is detected, or named by `libcheck_assume_abi`.
static DECIDING: Mutex<()> = Mutex::new(());

/// Locks the host's detection. A process that is forked meanwhile finds it unlocked once its copy of the
/// guard has been dropped. No other lock is taken with this one held, the dynamic linker's included.
pub(super) fn hold() -> MutexGuard<'static, ()> {
    lock(&DECIDING)
}

/// There is a libmultipath, and it is unknown. This is final, so that all paths of a host are treated
/// alike whatever it loads later.
static UNKNOWN: AtomicBool = AtomicBool::new(false);

/// The host, if it is known already.
pub(crate) fn current() -> Option<&'static Host> {
    REAL.get()
        .or_else(|| match ASSUMED.load(Ordering::Acquire) {
            b'B' => Some(&ASSUMED_V0_7_9),
            b'C' => Some(&ASSUMED_V0_11),
            b'D' => Some(&ASSUMED_V0_15),
            _ => None,
        })
}

/// The host, detected now if need be. `None` has been reported to the user.
pub(crate) fn find() -> Option<&'static Host> {
    let known = current().or_else(|| {
        let seen = Seen::now();
        let _deciding = lock(&DECIDING);
        accept(seen)
    });
    reported(known)
}

/// As [`find`]; the ABI does not change from now on until the instance has ended.
pub(crate) fn begin_instance() -> Option<(&'static Host, BegunInstance)> {
    // A real host's ABI never changes, so the lock is not needed.
    if let Some(host) = REAL.get() {
        process::prepare();
        return Some((host, BegunInstance::new()));
    }
    let seen = match current() {
        None => Seen::now(),
        Some(_) => Seen::NoLibrary,
    };
    let deciding = lock(&DECIDING);
    // In this order: `assume` reads the number first, with the lock held.
    let begun = BegunInstance::new();
    let known = current().or_else(|| accept(seen));
    drop(deciding);
    Some((reported(known)?, begun))
}

/// Counts an instance while it is being made. Dropped, it counts no longer.
pub(crate) struct BegunInstance(());

impl BegunInstance {
    fn new() -> BegunInstance {
        INSTANCES.fetch_add(1, Ordering::AcqRel);
        BegunInstance(())
    }

    /// The instance has been made and counts until [`end_instance`] is called for it.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for BegunInstance {
    fn drop(&mut self) {
        end_instance();
    }
}

/// Ends the count of an instance that [`BegunInstance::keep`] has kept.
pub(crate) fn end_instance() {
    INSTANCES.fetch_sub(1, Ordering::AcqRel);
}

fn reported(known: Option<&'static Host>) -> Option<&'static Host> {
    process::prepare();
    if known.is_none() {
        unknown::report();
    }
    known
}

/// Makes the calling code the host, with this ABI; nothing is detected then. Only the first call has an
/// effect.
pub fn become_host(abi: Abi, is_sync: IsSync) {
    if REAL.get().is_none() {
        let dlog = Dlog::find(&Symbols::new());
        let _deciding = lock(&DECIDING);
        REAL.get_or_init(|| {
            log::connect(dlog);
            Host {
                abi,
                is_sync: Some(is_sync),
            }
        });
    }
    process::prepare();
}

/// Accepts the ABI that a program without libmultipath names by its letter. Returns `false`, without any
/// change, for an unknown letter, when there is a libmultipath, and while instances with another ABI exist.
pub(crate) fn assume(letter: c_int) -> bool {
    let (Some(_), Ok(letter)) = (Abi::from_letter(letter), u8::try_from(letter)) else {
        return false;
    };
    let seen = Seen::now();
    let _deciding = lock(&DECIDING);
    if INSTANCES.load(Ordering::Acquire) > 0 {
        // Nothing may change now, not even for a libmultipath that has been loaded meanwhile.
        return REAL.get().is_none() && ASSUMED.load(Ordering::Acquire) == letter;
    }
    if REAL.get().is_some() || accept(seen).is_some() || UNKNOWN.load(Ordering::Acquire) {
        return false;
    }
    ASSUMED.store(letter, Ordering::Release);
    true
}

/// What the symbols of the process tell.
enum Seen {
    /// There is no libmultipath.
    NoLibrary,
    /// There is one that is unknown.
    Unknown,
    Library(Host, Option<Dlog>),
}

impl Seen {
    /// Looks symbols up. Not with [`DECIDING`] held: the dynamic linker's lock, which a lookup takes, may be
    /// held by a thread that waits for the end of a fork, and the fork waits for [`DECIDING`].
    fn now() -> Seen {
        let symbols = Symbols::new();
        let abi = abi::detect(|name| symbols.has(name));
        let (Some(abi), Some(is_sync)) = (abi, symbols.find(c"checker_is_sync")) else {
            let present = symbols.has_library() || abi::PROBES.iter().any(|name| symbols.has(name));
            return if present {
                Seen::Unknown
            } else {
                Seen::NoLibrary
            };
        };
        // SAFETY: from 0.7.9 on, libmultipath's checker_is_sync has this type in every release.
        let is_sync = unsafe { std::mem::transmute::<*mut c_void, IsSync>(is_sync.as_ptr()) };
        let host = Host {
            abi,
            is_sync: Some(is_sync),
        };
        Seen::Library(host, Dlog::find(&symbols))
    }
}

/// Makes what was seen final, with [`DECIDING`] held. Returns the host, `None` when it is unknown or there is
/// none.
fn accept(seen: Seen) -> Option<&'static Host> {
    if UNKNOWN.load(Ordering::Acquire) {
        return None;
    }
    match seen {
        Seen::NoLibrary => None,
        Seen::Unknown => {
            UNKNOWN.store(true, Ordering::Release);
            None
        }
        Seen::Library(host, dlog) => {
            log::connect(dlog);
            Some(REAL.get_or_init(|| host))
        }
    }
}
