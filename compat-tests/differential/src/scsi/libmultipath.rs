//! The host of multipath-tools 0.15: the release's own libmultipath.
//!
//! It loads the plugin, keeps the path and runs its checks through `start_checker`, `get_state` and
//! `checker_need_wait`, as multipathd has it do. Only what multipathd itself decides, when to call
//! which of them, is decided here. `checker_is_sync` and `dlog` are this program's, as for every
//! plugin.

use crate::scsi::log_sink::silently;
use harness::async_plugin::{AsyncPlugin, Order, RunnerData};
use harness::interpose::files::redirect;
use harness::state::State;
use std::ffi::OsStr;
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_short, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;

/// "No value" in a map's word.
const NO_VALUE: c_long = -1;

/// Where a `struct path` and a `struct multipath` begin to matter, in bytes. The release's headers
/// are not installed; [`Layout::find`] recognises the fields by what the constructors write there.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// `struct checker checker` in `struct path`.
    checker: usize,
    /// The map's word in `struct multipath`.
    word: usize,
}

/// The fields of `struct checker` in ABI 0.15.
const FD: usize = 8;
const TIMEOUT: usize = 12;
const DISABLE: usize = 16;
const STATE: usize = 20;
const MSGID: usize = 24;
const CONTEXT: usize = 32;
/// Behind it, in `struct path`: `struct multipath *mpp` and `int fd`.
const MAP: usize = 40;
const PATH_FD: usize = 48;
/// `struct runner_data` in what `context` points to.
const CONTEXT_DATA: usize = 32;

/// libmultipath's functions, and its configuration for one checker.
#[derive(Debug)]
pub(crate) struct Libmultipath {
    alloc_path: unsafe extern "C" fn() -> *mut c_void,
    free_path: unsafe extern "C" fn(*mut c_void),
    alloc_multipath: unsafe extern "C" fn() -> *mut c_void,
    start_checker: unsafe extern "C" fn(*mut c_void, *mut c_void, c_int, c_int) -> c_int,
    get_state: unsafe extern "C" fn(*mut c_void) -> c_int,
    need_wait: unsafe extern "C" fn(*mut c_void) -> c_int,
    layout: Layout,
    config: NonNull<c_void>,
}

// SAFETY: the functions are the process's. libmultipath reads the configuration, and multipathd calls
// it from several threads as well, for one path at a time.
unsafe impl Send for Libmultipath {}
// SAFETY: as above.
unsafe impl Sync for Libmultipath {}

impl Libmultipath {
    /// Makes a configuration with this checker for every path, and has libmultipath load the plugin.
    ///
    /// # Errors
    /// When the library lacks a function, is laid out in an unknown way, or cannot load the plugin.
    pub(crate) fn load(checker: &str) -> Result<Libmultipath, String> {
        type LoadConfig = unsafe extern "C" fn(*const c_char) -> *mut c_void;
        silently(|| {
            // SAFETY: the types are those of 0.15's headers, as far as callers are concerned.
            let upstream = unsafe {
                let load_config: LoadConfig = function(c"load_config")?;
                let file = config_file(checker).map_err(|error| error.to_string())?;
                let config = load_config(file.as_ptr());
                libc::unlink(file.as_ptr());
                let alloc_path = function(c"alloc_path")?;
                let alloc_multipath = function(c"alloc_multipath")?;
                Libmultipath {
                    alloc_path,
                    free_path: function(c"free_path")?,
                    alloc_multipath,
                    start_checker: function(c"start_checker")?,
                    get_state: function(c"get_state")?,
                    need_wait: function(c"checker_need_wait")?,
                    layout: Layout::find(alloc_path, alloc_multipath)?,
                    config: NonNull::new(config).ok_or("load_config failed")?,
                }
            };
            // Classes are made on first use, which must not happen on two threads at once.
            let mut path = LibraryPath::new(&upstream, -1, 0);
            let loaded = path.init();
            path.free();
            if loaded == 0 {
                Ok(upstream)
            } else {
                Err(format!("libmultipath cannot load {checker}"))
            }
        })
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

/// A path of libmultipath's.
pub(crate) struct LibraryPath<'a> {
    host: &'a Libmultipath,
    path: NonNull<u8>,
    map: *mut u8,
    timeout: u32,
}

impl<'a> LibraryPath<'a> {
    /// A path with this descriptor, without a checker and a map.
    ///
    /// # Panics
    /// Without memory.
    pub(crate) fn new(host: &'a Libmultipath, fd: c_int, timeout: u32) -> LibraryPath<'a> {
        // SAFETY: the function takes nothing.
        let path = unsafe { (host.alloc_path)() };
        #[expect(clippy::expect_used, reason = "a test without memory may end")]
        let path = NonNull::new(path.cast()).expect("memory for a struct path");
        let path = LibraryPath {
            host,
            path,
            map: null_mut(),
            timeout,
        };
        path.write(PATH_FD, fd);
        path
    }

    /// Selects the checker and initialises it. Its first check does not take place, as it is disabled
    /// meanwhile.
    pub(crate) fn init(&mut self) -> c_int {
        self.write::<c_int>(DISABLE, 1);
        let failed = self.start();
        self.write::<c_int>(DISABLE, 0);
        self.write(STATE, State::UNCHECKED);
        self.write(TIMEOUT, self.timeout);
        failed
    }

    /// The preparation as its author meant it, with descriptor and time limit. No host does this.
    pub(crate) fn prepare_as_meant(&self, plugin: &AsyncPlugin) {
        let mut order = Order::new(plugin);
        order.data().fd = self.read(FD);
        order.data().timeout = self.timeout;
        order.init();
    }

    /// Gives the path a map.
    ///
    /// # Panics
    /// Without memory.
    pub(crate) fn join_map(&mut self) {
        // SAFETY: the function takes nothing.
        self.map = unsafe { (self.host.alloc_multipath)() }.cast();
        assert!(!self.map.is_null(), "no memory for a struct multipath");
        self.write(MAP, self.map);
    }

    /// The map's word, while the path has a map with a value.
    pub(crate) fn map_value(&self) -> Option<c_long> {
        let word = self.word()?;
        // SAFETY: the word lies in the map, which this path alone uses.
        Some(unsafe { word.read() }).filter(|value| *value != NO_VALUE)
    }

    /// Sets it, as another path would.
    pub(crate) fn set_map_value(&mut self, value: c_long) {
        if let Some(word) = self.word() {
            // SAFETY: as in `map_value`.
            unsafe { word.write(value) };
        }
    }

    /// `start_checker`; the state that it has stored.
    pub(crate) fn check(&mut self) -> State {
        self.start();
        self.state()
    }

    /// `get_state`, if a check is under way.
    pub(crate) fn pending(&mut self) -> Option<State> {
        // SAFETY: the path is libmultipath's own.
        (self.state() == State::PENDING)
            .then(|| State(unsafe { (self.host.get_state)(self.path.as_ptr().cast()) }))
    }

    /// `checker_need_wait`.
    pub(crate) fn need_wait(&self) -> bool {
        // SAFETY: the checker lies in the path. The function gives a `bool` or an int by releases:
        // the lowest byte counts in either.
        unsafe { (self.host.need_wait)(self.checker().cast()) & 0xff != 0 }
    }

    /// `msgid`.
    pub(crate) fn message(&self) -> c_short {
        self.read(MSGID)
    }

    /// The message that the plugin's function left, whether the host shows it or not.
    ///
    /// # Panics
    /// When `context` points to something else than 0.15.0's does.
    pub(crate) fn hidden_message(&self) -> c_short {
        let context: *mut u8 = self.read(CONTEXT);
        assert!(!context.is_null(), "a checker without a context");
        // SAFETY: libmultipath keeps its runner data there, which no runner touches between two calls:
        // it has a copy.
        let data = unsafe { context.add(CONTEXT_DATA).cast::<RunnerData>().read() };
        assert_eq!(data.fd, self.read::<c_int>(FD), "no runner data");
        data.msgid
    }

    /// `free_path`.
    pub(crate) fn free(self) {
        self.write::<*mut u8>(MAP, null_mut());
        // The descriptor is not the kernel's and must not be closed.
        self.write::<c_int>(PATH_FD, -1);
        // SAFETY: the path is not used after this, nor is the map, in which nothing was put but the
        // word.
        unsafe {
            (self.host.free_path)(self.path.as_ptr().cast());
            libc::free(self.map.cast());
        }
    }

    fn start(&mut self) -> c_int {
        let (path, config) = (self.path.as_ptr().cast(), self.host.config.as_ptr());
        // SAFETY: both are libmultipath's own.
        unsafe { (self.host.start_checker)(path, config, 0, State::UNCHECKED.0) }
    }

    fn state(&self) -> State {
        self.read(STATE)
    }

    fn word(&self) -> Option<*mut c_long> {
        // SAFETY: the offset is the word's.
        (!self.map.is_null()).then(|| unsafe { self.map.add(self.host.layout.word).cast() })
    }

    fn checker(&self) -> *mut u8 {
        // SAFETY: the offset is the checker's.
        unsafe { self.path.as_ptr().add(self.host.layout.checker) }
    }

    fn read<T: Copy>(&self, field: usize) -> T {
        // SAFETY: callers pass a field's own offset and type.
        unsafe { self.checker().add(field).cast::<T>().read_unaligned() }
    }

    fn write<T: Copy>(&self, field: usize, value: T) {
        // SAFETY: as in `read`; the path is used by this thread alone.
        unsafe { self.checker().add(field).cast::<T>().write_unaligned(value) }
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
