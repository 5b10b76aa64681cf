//! Who has loaded us, found out once and never guessed: writing the fields of one era into the
//! struct of another corrupts the daemon's memory.

use crate::era::Era;
use crate::log_bridge::{self, Dlog};
use crate::symbols::Symbols;
use crate::{panics, refusal, threads};
use checkers_core::sync::lock;
use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, Once, OnceLock};

/// `int checker_is_sync(const struct checker *)`
pub(crate) type IsSync = unsafe extern "C" fn(*const c_void) -> c_int;

/// What is known of the host.
pub(crate) struct Host {
    pub(crate) era: Era,
    is_sync: Option<IsSync>,
}

impl Host {
    const fn assumed(era: Era) -> Host {
        Host { era, is_sync: None }
    }

    /// Whether the host can wait for this checker's verdict.
    ///
    /// # Safety
    /// `checker` must point to a `struct checker` of this host.
    pub(crate) unsafe fn is_sync(&self, checker: *const c_void) -> bool {
        match self.is_sync {
            // SAFETY: the function is the host's own and gets the host's own struct.
            Some(is_sync) => unsafe { is_sync(checker) != 0 },
            // A host without the function is one that told us its era; it gets the mode that cannot
            // hang it.
            None => false,
        }
    }
}

static REAL: OnceLock<Host> = OnceLock::new();
static ASSUMED_B: Host = Host::assumed(Era::B);
static ASSUMED_C: Host = Host::assumed(Era::C);
static ASSUMED_D: Host = Host::assumed(Era::D);

/// What [`assume`] was told: 0 or an era's letter.
static ASSUMED: AtomicU8 = AtomicU8::new(0);

/// Instances that exist; while there are any, the layout must not change.
static INSTANCES: AtomicUsize = AtomicUsize::new(0);

/// Held while the host is being found out or told.
static DECIDING: Mutex<()> = Mutex::new(());

/// The host as far as it is known already.
pub(crate) fn current() -> Option<&'static Host> {
    REAL.get()
        .or_else(|| match ASSUMED.load(Ordering::Acquire) {
            b'B' => Some(&ASSUMED_B),
            b'C' => Some(&ASSUMED_C),
            b'D' => Some(&ASSUMED_D),
            _ => None,
        })
}

/// There is a libmultipath, and it is none that we know. That is for good, so that all paths of a host
/// are treated alike whatever it loads later.
static UNKNOWN: AtomicBool = AtomicBool::new(false);

/// The host, found out now if need be. `None` has been reported.
pub(crate) fn find() -> Option<&'static Host> {
    let known = current().or_else(|| {
        let _deciding = lock(&DECIDING);
        detect()
    });
    reported(known)
}

/// As [`find`], and from now on nothing changes the era until the instance has ended.
pub(crate) fn begin_instance() -> Option<(&'static Host, Begun)> {
    // Nothing changes the era of a real host, so the lock is not needed any more. (A process that has
    // been forked while another thread held it would wait for ever.)
    if let Some(host) = REAL.get() {
        prepare_process();
        return Some((host, Begun::new()));
    }
    let deciding = lock(&DECIDING);
    // In this order: `assume` looks at the number first, with the lock held.
    let begun = Begun::new();
    let known = current().or_else(detect);
    drop(deciding);
    Some((reported(known)?, begun))
}

/// An instance that is counted. Dropped, it counts no more.
pub(crate) struct Begun(());

impl Begun {
    fn new() -> Begun {
        INSTANCES.fetch_add(1, Ordering::AcqRel);
        Begun(())
    }

    /// The instance has been made; [`end_instance`] is for its end.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        end_instance();
    }
}

/// An instance that [`Begun::keep`] has left behind has ended.
pub(crate) fn end_instance() {
    INSTANCES.fetch_sub(1, Ordering::AcqRel);
}

fn reported(known: Option<&'static Host>) -> Option<&'static Host> {
    prepare_process();
    if known.is_none() {
        refusal::report();
    }
    known
}

/// Says that we are the host ourselves, so nothing is left to find out. The first word counts.
pub(crate) fn be(era: Era, is_sync: IsSync) {
    if REAL.get().is_none() {
        let _deciding = lock(&DECIDING);
        REAL.get_or_init(|| {
            log_bridge::connect(Dlog::find(&Symbols::new()));
            Host {
                era,
                is_sync: Some(is_sync),
            }
        });
    }
    prepare_process();
}

/// Takes a host's word for its era, if nothing else tells: `B`, `C` or `D`. Not while instances of
/// another era exist. Says whether it was taken.
pub(crate) fn assume(letter: c_int) -> bool {
    let Some(letter) = u8::try_from(letter)
        .ok()
        .filter(|letter| b"BCD".contains(letter))
    else {
        return false;
    };
    let _deciding = lock(&DECIDING);
    if INSTANCES.load(Ordering::Acquire) > 0 {
        // Nothing may change now, not even by a libmultipath that has been loaded meanwhile.
        return REAL.get().is_none() && ASSUMED.load(Ordering::Acquire) == letter;
    }
    if REAL.get().is_some() || detect().is_some() || UNKNOWN.load(Ordering::Acquire) {
        return false;
    }
    ASSUMED.store(letter, Ordering::Release);
    true
}

fn prepare_process() {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        panics::install();
        log_bridge::install();
        threads::prepare();
        checkers_core::pool::set_spawner(threads::spawn);
        if threads::processors() > 1 {
            checkers_core::spin::allow();
        }
    });
}

/// Looks at the host's symbols, unless it is known already that they tell nothing.
fn detect() -> Option<&'static Host> {
    if UNKNOWN.load(Ordering::Acquire) {
        return None;
    }
    let symbols = Symbols::new();
    let era = era_of(|name| symbols.has(name));
    let (Some(era), Some(is_sync)) = (era, symbols.find(c"checker_is_sync")) else {
        let there = symbols.has_library() || PROBES.iter().any(|name| symbols.has(name));
        UNKNOWN.store(there, Ordering::Release);
        return None;
    };
    log_bridge::connect(Dlog::find(&symbols));
    // SAFETY: from 0.7.9 on, libmultipath's checker_is_sync has this type in every release.
    let is_sync = unsafe { std::mem::transmute::<*mut c_void, IsSync>(is_sync.as_ptr()) };
    Some(REAL.get_or_init(|| Host {
        era,
        is_sync: Some(is_sync),
    }))
}

/// The symbols that tell eras apart.
const PROBES: [&CStr; 6] = [
    c"checker_is_sync",
    c"checker_need_wait",
    c"start_checker_thread",
    c"mt_udev_ref",
    c"get_runner",
    c"check_runner",
];

/// The era, from which of the telling symbols are visible (checked on every release from 0.7.9 to
/// 0.15.1). A combination that no release has is an unknown host.
fn era_of(has: impl Fn(&'static CStr) -> bool) -> Option<Era> {
    if !has(c"checker_is_sync") {
        return None;
    }
    if !has(c"checker_need_wait") {
        return Some(Era::B);
    }
    let runner = has(c"get_runner") || has(c"check_runner");
    match (has(c"start_checker_thread"), runner, has(c"mt_udev_ref")) {
        (true, false, false) => Some(Era::C),
        (true, false, true) => Some(Era::CPrime),
        (false, true, _) => Some(Era::D),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(symbols: &[&str]) -> Option<Era> {
        era_of(|name| symbols.contains(&name.to_str().unwrap()))
    }

    #[test]
    fn every_release_is_recognised_by_its_symbols() {
        let (sync, thread, wait) = (
            "checker_is_sync",
            "start_checker_thread",
            "checker_need_wait",
        );
        assert_eq!(seen(&[sync]), Some(Era::B));
        assert_eq!(seen(&[sync, thread]), Some(Era::B));
        assert_eq!(seen(&[sync, thread, wait]), Some(Era::C));
        assert_eq!(
            seen(&[sync, thread, wait, "mt_udev_ref"]),
            Some(Era::CPrime)
        );
        assert_eq!(
            seen(&[sync, wait, "mt_udev_ref", "get_runner"]),
            Some(Era::D)
        );
        assert_eq!(
            seen(&[sync, wait, "mt_udev_ref", "check_runner"]),
            Some(Era::D)
        );
    }

    #[test]
    fn strangers_are_refused() {
        for symbols in [
            &[][..],
            &["checker_need_wait"],
            &["start_checker_thread", "checker_need_wait", "get_runner"],
            &["checker_is_sync", "checker_need_wait"],
            &[
                "checker_is_sync",
                "checker_need_wait",
                "start_checker_thread",
                "get_runner",
            ],
        ] {
            assert_eq!(seen(symbols), None, "{symbols:?}");
        }
    }
}
