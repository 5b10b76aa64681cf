//! What is said of a host that is not known: one line, once per process.
//!
//! Each plugin has its own copy of this code and of everything static in it, and a host may load seven.
//! They agree without a place that is outside of them: all use the mark of the one that was loaded
//! first. Plugins are never unloaded, so that one stays the first.

use kernel_fd::FileKind;
use std::ffi::{CStr, c_int, c_void};
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

/// The line. It says what to do before why, since long lines are cut.
const TEXT: &CStr = c"path checker plugins: this multipath-tools is none that they know (0.7.9 to 0.15), so no \
path is checked. Put the distribution's own plugins back: reinstall the package that has them (dpkg -S or \
rpm -qf on libchecktur.so names it), then restart multipathd. A program without libmultipath calls \
libcheck_assume_abi first";

/// The exported mark of a plugin: one byte, 0 until something has been reported.
#[repr(transparent)]
pub struct Reported(AtomicU8);

impl Reported {
    /// Nothing has been reported.
    #[expect(clippy::new_without_default, reason = "for the macro alone")]
    pub const fn new() -> Reported {
        Reported(AtomicU8::new(0))
    }

    /// Whether this is the first time that it is asked.
    fn first(&self) -> bool {
        self.0.swap(1, Ordering::AcqRel) == 0
    }
}

/// Writes the line, if no plugin of the process has. It does not go to the host's log, whose form is as
/// unknown as the host, but to the standard error stream, or to syslog from a daemon without one.
pub(crate) fn report() {
    // For a program that has this code linked in, and no plugin.
    static OWN: Reported = Reported::new();
    if !first_plugin().unwrap_or(&OWN).first() {
        return;
    }
    if leads_nowhere(libc::STDERR_FILENO) {
        // SAFETY: the format takes one string, and the text is NUL-terminated.
        unsafe {
            libc::syslog(
                libc::LOG_DAEMON | libc::LOG_ERR,
                c"%s".as_ptr(),
                TEXT.as_ptr(),
            )
        };
    } else {
        log::error!("{}", TEXT.to_str().unwrap_or_default());
    }
}

/// Whether `fd` is closed or `/dev/null`.
fn leads_nowhere(fd: RawFd) -> bool {
    kernel_fd::stat(fd).map_or(true, |stat| {
        stat.kind == FileKind::Other && (stat.major(), stat.minor()) == (1, 3)
    })
}

/// The mark of the plugin that was loaded first.
fn first_plugin() -> Option<&'static Reported> {
    (0..).map_while(nth_object).find_map(|name| mark(&name))
}

/// The mark of the object with this name, if it is a plugin of ours.
fn mark(name: &Name) -> Option<&'static Reported> {
    // SAFETY: the name is NUL-terminated; what is loaded already runs no constructor.
    let handle =
        unsafe { libc::dlopen(name.0.as_ptr().cast(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    let handle = NonNull::new(handle)?;
    // SAFETY: the handle is open and the name NUL-terminated.
    let place = unsafe { libc::dlsym(handle.as_ptr(), c"libcheck_unknown_host_reported".as_ptr()) };
    // SAFETY: the handle is open. A plugin of ours stays loaded all the same.
    unsafe { libc::dlclose(handle.as_ptr()) };
    // SAFETY: only our plugins export the name, in every release as one byte with static storage that
    // is changed atomically, and they are never unloaded.
    unsafe { place.cast::<Reported>().as_ref() }
}

/// The path of a loaded object, NUL-terminated.
struct Name([u8; Name::SIZE]);

impl Name {
    /// Longer paths are no plugin's.
    const SIZE: usize = 512;
}

/// What the walk over the loaded objects looks for, and finds.
struct Search {
    /// How many objects are passed over yet.
    skip: usize,
    found: Option<Name>,
}

/// The `n`th of the loaded objects whose file is named like a plugin, in the order in which they were
/// loaded.
fn nth_object(n: usize) -> Option<Name> {
    let mut search = Search {
        skip: n,
        found: None,
    };
    // SAFETY: the function calls `visit` with the pointer that is passed, while this frame waits.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    search.found
}

/// Looks at one object; not 0 ends the walk. The dynamic linker holds a lock meanwhile, so it is not
/// called from here.
unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    search: *mut c_void,
) -> c_int {
    // SAFETY: `nth_object` passes its search, which nothing else uses meanwhile.
    let search = unsafe { &mut *search.cast::<Search>() };
    // SAFETY: the dynamic linker passes a valid description.
    let name = unsafe { (*info).dlpi_name };
    if name.is_null() {
        return 0;
    }
    // SAFETY: names of objects are C strings, which stay while the lock is held.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if !file.starts_with(b"libcheck") {
        return 0;
    }
    if search.skip > 0 {
        search.skip -= 1;
        return 0;
    }
    let mut copy = Name([0; Name::SIZE]);
    if let Some(place) = copy.0.get_mut(..name.len()) {
        place.copy_from_slice(name);
    }
    search.found = Some(copy);
    1
}
