// SPDX-License-Identifier: LGPL-2.0-or-later

//! The host of multipath-tools 0.15: the release's own libmultipath.
//!
//! It loads the plugin, keeps the path and runs its checks through `start_checker`, `get_state` and
//! `checker_need_wait`, as multipathd has it do. Only what multipathd itself decides, when to call
//! which of them, is decided here. `checker_is_sync` and `dlog` are this program's, as for every
//! plugin.

use harness::interpose::files::redirect;
use std::ffi::OsStr;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::OnceLock;

/// Where a `struct path` and a `struct multipath` begin to matter, in bytes. The release's headers
/// are not installed; [`Layout::find`] recognises the fields by what the constructors write there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// `struct checker checker` in `struct path`.
    pub(crate) checker: usize,
    /// The map's word in `struct multipath`.
    pub(crate) word: usize,
}

/// Where `fd` is in `struct checker` of 0.15, and in what follows it in `struct path`.
const FD: usize = 8;
const PATH_FD: usize = 48;

/// libmultipath's functions, and its configuration for one checker.
#[derive(Debug)]
pub(crate) struct Libmultipath {
    pub(crate) alloc_path: unsafe extern "C" fn() -> *mut c_void,
    pub(crate) free_path: unsafe extern "C" fn(*mut c_void),
    pub(crate) alloc_multipath: unsafe extern "C" fn() -> *mut c_void,
    pub(crate) start_checker: unsafe extern "C" fn(*mut c_void, *mut c_void, c_int, c_int) -> c_int,
    pub(crate) get_state: unsafe extern "C" fn(*mut c_void) -> c_int,
    pub(crate) need_wait: unsafe extern "C" fn(*mut c_void) -> c_int,
    pub(crate) layout: Layout,
    pub(crate) config: NonNull<c_void>,
}

// SAFETY: the functions are the process's. libmultipath reads the configuration, and multipathd calls
// it from several threads as well, for one path at a time.
unsafe impl Send for Libmultipath {}
// SAFETY: as above.
unsafe impl Sync for Libmultipath {}

impl Libmultipath {
    /// Makes a configuration with this checker for every path.
    ///
    /// # Errors
    /// When the library lacks a function or is laid out in an unknown way.
    pub(crate) fn load(checker: &str) -> Result<Libmultipath, String> {
        type LoadConfig = unsafe extern "C" fn(*const c_char) -> *mut c_void;
        // SAFETY: the types are those of 0.15's headers, as far as callers are concerned.
        unsafe {
            let load_config: LoadConfig = function(c"load_config")?;
            let file = config_file(checker).map_err(|error| error.to_string())?;
            let config = load_config(file.as_ptr());
            libc::unlink(file.as_ptr());
            let alloc_path = function(c"alloc_path")?;
            let alloc_multipath = function(c"alloc_multipath")?;
            Ok(Libmultipath {
                alloc_path,
                free_path: function(c"free_path")?,
                alloc_multipath,
                start_checker: function(c"start_checker")?,
                get_state: function(c"get_state")?,
                need_wait: function(c"checker_need_wait")?,
                layout: Layout::find(alloc_path, alloc_multipath)?,
                config: NonNull::new(config).ok_or("load_config failed")?,
            })
        }
    }
}

/// Writes a configuration with this checker for every path. Gives the file's name.
fn config_file(checker: &str) -> std::io::Result<CString> {
    let path = std::env::temp_dir().join(format!("compat-scsi-{}", std::process::id()));
    let text = format!(
        "defaults {{\n\tverbosity 4\n\tdetect_checker no\n\tchecker_timeout 30\n}}\n\
         overrides {{\n\tpath_checker {checker}\n}}\n"
    );
    std::fs::write(&path, text)?;
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

impl Layout {
    /// # Safety
    /// The functions must be libmultipath's.
    unsafe fn find(
        alloc_path: unsafe extern "C" fn() -> *mut c_void,
        alloc_multipath: unsafe extern "C" fn() -> *mut c_void,
    ) -> Result<Layout, String> {
        // SAFETY: both give zeroed memory from the C allocator with some fields set. It is not given
        // back: a path is small and has more in it than is known here.
        let (path, map) = unsafe { (bytes(alloc_path()), bytes(alloc_multipath())) };
        let int = |from: &[u8], at: usize| from.get(at..at + 4).map(<[u8]>::to_vec);
        let (none, zero) = (Some(vec![0xff; 4]), Some(vec![0; 4]));
        // A new path has no descriptor, twice, and between the two an empty `struct checker` and no map.
        let checkers: Vec<usize> = (0..path.len())
            .step_by(8)
            .filter(|at| {
                (0..=PATH_FD).step_by(4).all(|field| {
                    let unset = matches!(field, FD | PATH_FD);
                    int(&path, at + field) == if unset { none.clone() } else { zero.clone() }
                })
            })
            .collect();
        let words: Vec<usize> = (0..map.len())
            .step_by(8)
            .filter(|at| map.get(*at..at + 8).is_some_and(|word| word == [0xff; 8]))
            .collect();
        match (checkers.as_slice(), words.as_slice()) {
            ([checker], [word]) => Ok(Layout {
                checker: *checker,
                word: *word,
            }),
            _ => Err(format!(
                "the checker of a path may be at {checkers:?}, the word of a map at {words:?}"
            )),
        }
    }
}

/// # Safety
/// `memory` must be NULL or from the C allocator, and initialised.
unsafe fn bytes(memory: *mut c_void) -> Vec<u8> {
    if memory.is_null() {
        return Vec::new();
    }
    // SAFETY: the allocator says how much there is.
    unsafe {
        std::slice::from_raw_parts(memory.cast::<u8>(), libc::malloc_usable_size(memory)).to_vec()
    }
}

/// Where the plugins of the release are.
static PLUGINS: OnceLock<PathBuf> = OnceLock::new();

/// From now on libmultipath finds its plugins in `directory` and not where its package puts them.
pub(crate) fn use_plugins(directory: &Path) {
    PLUGINS.get_or_init(|| directory.to_owned());
    redirect(plugin_in_place_of);
}

/// The file to open in the place of `name`, if it is a plugin of the package's directory.
fn plugin_in_place_of(name: &CStr) -> Option<&'static CStr> {
    let name = Path::new(OsStr::from_bytes(name.to_bytes()));
    let of_the_package = [
        "/usr/lib/multipath",
        "/lib/multipath",
        "/usr/lib64/multipath",
    ]
    .iter()
    .any(|directory| name.parent() == Some(Path::new(directory)));
    let file = PLUGINS.get()?.join(name.file_name()?);
    let file = CString::new(file.as_os_str().as_bytes()).ok()?;
    // A few names of a few bytes, kept for good.
    of_the_package.then(|| &*Box::leak(file.into_boxed_c_str()))
}

/// A function of a library that is loaded for all.
///
/// # Errors
/// When there is none of this name.
///
/// # Safety
/// `F` must be the type of a function pointer that fits the function called `name`.
pub(crate) unsafe fn function<F>(name: &CStr) -> Result<F, String> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: a name that ends with NUL, searched in the global scope.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if address.is_null() {
        return Err(format!("no {name:?} in the libraries of this release"));
    }
    // SAFETY: a pointer that dlsym gave for a function, converted to the type that the caller vouches
    // for; the sizes agree.
    Ok(unsafe { std::mem::transmute_copy(&address) })
}
