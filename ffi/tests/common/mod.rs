//! A host without libmultipath: loads the built plugins and treats them as no real host would.
//!
//! Every test runs in a process of its own, into which the [shim](Shim) is preloaded.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

pub(crate) const WILD: c_int = 0;
pub(crate) const UNCHECKED: c_int = 1;
pub(crate) const DOWN: c_int = 2;
pub(crate) const UP: c_int = 3;
pub(crate) const PENDING: c_int = 6;
pub(crate) const TIMEOUT: c_int = 7;

/// The checkers that send SCSI commands, by workers.
pub(crate) const SCSI: &[&str] = checkers::PROBES;
pub(crate) const ALL: &[&str] = checkers::NAMES;

/// Which libmultipath the shim pretends to be; with none, the test tells the era.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    None,
    B,
    C,
    D,
}

/// Runs `body` in a process of its own with the shim in it. `name` must be that of the test.
pub(crate) fn alone(name: &str, host: Host, body: impl FnOnce(Shim)) {
    alone_with(name, host, |_| {}, body);
}

/// As [`alone`]; `prepare` may change the command, which loads what `LD_PRELOAD` has besides the shim.
pub(crate) fn alone_with(
    name: &str,
    host: Host,
    prepare: impl Fn(&mut Command),
    body: impl FnOnce(Shim),
) {
    const MARK: &str = "CHECKERS_TEST_ALONE";
    if std::env::var(MARK).is_ok_and(|inside| inside == name) {
        return body(Shim::find());
    }
    build_plugins();
    let shim = build_shim(host);
    // A test that hangs is one that has found something.
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "120"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(MARK, name)
        .env("LD_PRELOAD", shim);
    prepare(&mut command);
    let output = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{name}: {}\n{stdout}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// One more object for `LD_PRELOAD`, before the shim.
pub(crate) fn preload(command: &mut Command, object: &Path) {
    let shim = command
        .get_envs()
        .find(|(name, _)| *name == "LD_PRELOAD")
        .and_then(|(_, value)| value)
        .unwrap();
    let both = format!("{}:{}", object.display(), shim.to_string_lossy());
    command.env("LD_PRELOAD", both);
}

/// Where cargo puts what it builds in this profile.
pub(crate) fn built() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.parent().unwrap().parent().unwrap().to_owned()
}

/// Where the calling test's C objects are.
fn c_objects() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let program = program.file_stem().unwrap().to_string_lossy().into_owned();
    // Tests run in threads that are named after them.
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    built().join(format!("{program}-{test}-{}", std::process::id()))
}

/// Removes what [`compile_c`] has made for the calling test.
pub(crate) fn remove_c_objects() {
    match std::fs::remove_dir_all(c_objects()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        result => result.unwrap(),
    }
}

/// Compiles C source into a shared object, in a directory of the calling test's; gives the file's path.
pub(crate) fn compile_c(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let directory = c_objects();
    std::fs::create_dir_all(&directory).unwrap();
    let object = directory.join(name);
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or("cc".into()))
        .args(["-xc", "-", "-shared", "-fPIC", "-O1", "-Wall", "-Werror"])
        .args(flags)
        .arg("-o")
        .arg(&object)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut cc.stdin.take().unwrap(), source.as_bytes()).unwrap();
    assert!(cc.wait().unwrap().success(), "{name} does not build");
    object
}

fn build_plugins() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let profile = built().file_name().unwrap().to_string_lossy().into_owned();
        let profile = if profile == "debug" {
            "dev".into()
        } else {
            profile
        };
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--profile", &profile]);
        for &name in ALL {
            cargo.args(["--package", &format!("plugin-{}", name.replace('_', "-"))]);
        }
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.env("CARGO_TARGET_DIR", built().parent().unwrap());
        assert!(
            cargo.status().unwrap().success(),
            "the plugins do not build"
        );
    });
}

fn build_shim(host: Host) -> PathBuf {
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = LOCK.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/shim.rs");
    let program = std::env::current_exe().unwrap();
    let program = program.file_stem().unwrap().to_string_lossy().into_owned();
    let shim = built().join(format!("{program}-shim-{host:?}.so"));
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.args(["--edition", "2024", "--crate-type", "cdylib", "-O"]);
    rustc
        .args(["-C", "panic=abort", "-o"])
        .arg(&shim)
        .arg(source);
    if host != Host::None {
        rustc.args(["--cfg", "host", "--cfg", &format!("host=\"{host:?}\"")]);
    }
    assert!(rustc.status().unwrap().success(), "the shim does not build");
    shim
}

/// The knobs of the shim; shim.rs has the same list.
#[derive(Clone, Copy)]
pub(crate) enum Knob {
    /// Allocations seen since one of the next two was set.
    Allocations = 0,
    /// The one allocation that fails.
    FailAt = 1,
    /// The first allocation of those that fail.
    FailFrom = 2,
    /// The error of pthread_create.
    ThreadError = 3,
    /// What SCSI commands do: 0 go to the kernel, 1 hang, 2 are good, 3 are answered with garbage.
    Scsi = 4,
    /// Commands inside the ioctl now.
    ScsiInside = 5,
    /// Commands ever.
    ScsiSent = 6,
    /// Where the garbage comes from.
    Seed = 7,
    /// What AIO does: 0 goes to the kernel, 1 requests disappear into the ring, 2 there is no quota.
    Aio = 8,
    /// The address of the ring.
    Ring = 9,
    /// `aio_data` of the last request.
    LastKey = 10,
    /// Threads ever.
    Threads = 11,
    /// What `checker_is_sync` answers.
    Sync = 12,
    /// Lines that went to `dlog`.
    Lines = 13,
    /// A function that `dlog` calls, once.
    CallBack = 14,
    /// Contexts that were destroyed.
    AioDestroyed = 15,
}

#[derive(Clone, Copy)]
pub(crate) struct Shim(extern "C" fn(usize) -> *const AtomicI64);

impl Shim {
    fn find() -> Shim {
        // SAFETY: the name is NUL-terminated; the shim, which is preloaded, has a function of this
        // name and type.
        unsafe {
            let knob = libc::dlsym(libc::RTLD_DEFAULT, c"shim_knob".as_ptr());
            assert!(!knob.is_null(), "the shim is not there");
            Shim(std::mem::transmute::<
                *mut c_void,
                extern "C" fn(usize) -> *const AtomicI64,
            >(knob))
        }
    }

    fn knob(&self, knob: Knob) -> &'static AtomicI64 {
        // SAFETY: a static of the shim.
        unsafe { &*(self.0)(knob as usize) }
    }

    pub(crate) fn set(&self, knob: Knob, value: i64) {
        self.knob(knob).store(value, Ordering::SeqCst);
    }

    pub(crate) fn get(&self, knob: Knob) -> i64 {
        self.knob(knob).load(Ordering::SeqCst)
    }

    /// The lines that went to `dlog`, each as `LEVEL TEXT`; for shims with a host.
    pub(crate) fn lines(&self) -> Vec<String> {
        // SAFETY: the name is NUL-terminated; a shim with a host has a function of this name and
        // type, whose text has a NUL at its end.
        let text = unsafe {
            let text = libc::dlsym(libc::RTLD_DEFAULT, c"shim_text".as_ptr());
            assert!(!text.is_null(), "the shim has no host");
            let text = std::mem::transmute::<*mut c_void, extern "C" fn() -> *const c_char>(text);
            CStr::from_ptr(text())
        };
        text.to_string_lossy().lines().map(str::to_owned).collect()
    }
}

/// Waits for something that another thread is about to do.
pub(crate) fn within(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "it never happened"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many threads this process has.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

type Ask = unsafe extern "C" fn(*mut c_void) -> c_int;
type Look = unsafe extern "C" fn(*mut c_void, *mut c_long) -> c_int;

/// A plugin that has been loaded.
#[derive(Clone, Copy)]
pub(crate) struct Plugin {
    pub(crate) handle: *mut c_void,
    pub(crate) init: Ask,
    pub(crate) check: Look,
    pub(crate) pending: Look,
    pub(crate) need_wait: unsafe extern "C" fn(*mut c_void) -> bool,
    pub(crate) free: unsafe extern "C" fn(*mut c_void),
    pub(crate) reset: extern "C" fn(),
    pub(crate) mp_init: Option<Ask>,
    pub(crate) assume: extern "C" fn(c_int) -> c_int,
}

// SAFETY: the handle is only used to close it, and the functions may be called from any thread.
unsafe impl Send for Plugin {}
// SAFETY: likewise.
unsafe impl Sync for Plugin {}

impl Plugin {
    /// Closes it, as a host does that has no use for it any more.
    pub(crate) fn unload(self) {
        // SAFETY: the handle is open; a plugin stays mapped all the same.
        assert_eq!(unsafe { libc::dlclose(self.handle) }, 0);
    }

    pub(crate) fn load(name: &str) -> Plugin {
        let file = built().join(format!("libcheck{name}.so"));
        let file = CString::new(file.to_str().unwrap()).unwrap();
        // SAFETY: a NUL-terminated path of a library whose constructors are those of the linker.
        let handle = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null(), "{file:?} cannot be loaded");
        let find = |name: &str| {
            let name = CString::new(name).unwrap();
            // SAFETY: an open handle and a NUL-terminated name.
            unsafe { libc::dlsym(handle, name.as_ptr()) }
        };
        let need = |name: &str| {
            let address = find(name);
            assert!(!address.is_null(), "{name} is missing");
            address
        };
        // SAFETY: these are the types that the checker ABI gives these names.
        unsafe {
            use std::mem::transmute;
            Plugin {
                handle,
                init: transmute::<*mut c_void, Ask>(need("libcheck_init")),
                check: transmute::<*mut c_void, Look>(need("libcheck_check")),
                pending: transmute::<*mut c_void, Look>(need("libcheck_pending")),
                need_wait: transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void) -> bool>(
                    need("libcheck_need_wait"),
                ),
                free: transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(need(
                    "libcheck_free",
                )),
                reset: transmute::<*mut c_void, extern "C" fn()>(need("libcheck_reset")),
                mp_init: transmute::<*mut c_void, Option<Ask>>(find("libcheck_mp_init")),
                assume: transmute::<*mut c_void, extern "C" fn(c_int) -> c_int>(need(
                    "libcheck_assume_abi",
                )),
            }
        }
    }

    /// Loads the plugin and tells it its era.
    pub(crate) fn load_for(name: &str, era: u8) -> Plugin {
        let plugin = Plugin::load(name);
        assert_eq!((plugin.assume)(c_int::from(era)), 0);
        plugin
    }
}

const GUARD: usize = 64;
const MEMORY: usize = GUARD + 48 + GUARD;
const FILL: u8 = 0xa5;

/// A `struct checker` in one era's layout, with guards around it: a plugin that writes anything but
/// the fields it owns is found out after every call.
pub(crate) struct Checker {
    era: u8,
    bytes: Box<Memory>,
    pub(crate) map: Box<*mut c_void>,
    pub(crate) map_word: Box<c_long>,
    plugin: Plugin,
}

#[repr(C, align(64))]
struct Memory([u8; MEMORY]);

// SAFETY: the pointers inside are to memory of the value's own, or of the plugin's, whose instances
// may move from thread to thread.
unsafe impl Send for Checker {}

#[derive(Clone, Copy)]
struct Layout {
    message: usize,
    context: usize,
    map: Option<usize>,
    size: usize,
}

fn layout(era: u8) -> Layout {
    let (message, context, map, size) = match era {
        b'B' => (20, 24, Some(32), 40),
        b'C' => (24, 32, Some(40), 48),
        b'D' => (24, 32, None, 40),
        other => panic!("era {other}"),
    };
    Layout {
        message,
        context,
        map,
        size,
    }
}

impl Checker {
    pub(crate) fn new(plugin: Plugin, era: u8, fd: c_int, timeout: u32) -> Checker {
        let mut checker = Checker {
            era,
            bytes: Box::new(Memory([FILL; MEMORY])),
            map: Box::new(null_mut()),
            map_word: Box::new(-1),
            plugin,
        };
        let Layout { size, map, .. } = layout(era);
        checker.bytes.0[GUARD..GUARD + size].fill(0);
        checker.put(8, &fd.to_ne_bytes());
        checker.put(12, &timeout.to_ne_bytes());
        if era != b'B' {
            checker.put(20, &UNCHECKED.to_ne_bytes());
        }
        if let Some(offset) = map {
            let place = &raw mut *checker.map;
            checker.put(offset, &(place.expose_provenance()).to_ne_bytes());
        }
        checker
    }

    fn put(&mut self, offset: usize, value: &[u8]) {
        self.bytes.0[GUARD + offset..][..value.len()].copy_from_slice(value);
    }

    pub(crate) fn set_fd(&mut self, fd: c_int) {
        self.put(8, &fd.to_ne_bytes());
    }

    pub(crate) fn message(&self) -> i16 {
        let at = GUARD + layout(self.era).message;
        i16::from_ne_bytes([self.bytes.0[at], self.bytes.0[at + 1]])
    }

    pub(crate) fn context(&self) -> usize {
        let at = GUARD + layout(self.era).context;
        usize::from_ne_bytes(self.bytes.0[at..at + 8].try_into().unwrap())
    }

    pub(crate) fn pointer(&mut self) -> *mut c_void {
        self.bytes.0[GUARD..].as_mut_ptr().cast()
    }

    /// Makes a call and compares everything that is not the plugin's own before and after.
    fn call<T>(&mut self, call: impl FnOnce(&Plugin, *mut c_void, *mut c_long) -> T) -> T {
        let Layout {
            message, context, ..
        } = layout(self.era);
        // Without allocating: some tests leave no memory.
        let foreign = |bytes: &[u8; MEMORY]| {
            let mut bytes = *bytes;
            bytes[GUARD + message..][..2].fill(0);
            bytes[GUARD + context..][..8].fill(0);
            bytes
        };
        let before = foreign(&self.bytes.0);
        // Only a host of era D passes a second argument; in the others' place is what was left in
        // the register.
        let word = match self.era {
            b'D' => &raw mut *self.map_word,
            _ => std::ptr::without_provenance_mut(0x5a5a_5a5a_5a5a),
        };
        let plugin = self.plugin;
        let result = call(&plugin, self.pointer(), word);
        assert_eq!(
            before,
            foreign(&self.bytes.0),
            "written where nothing is ours"
        );
        result
    }

    pub(crate) fn init(&mut self) -> c_int {
        // SAFETY: a struct of the era that the plugin was told.
        self.call(|plugin, checker, _| unsafe { (plugin.init)(checker) })
    }

    /// As the host calls it: the message is cleared first, the state stored afterwards.
    pub(crate) fn check(&mut self) -> c_int {
        let message = layout(self.era).message;
        self.put(message, &[0, 0]);
        // SAFETY: a struct of the era that the plugin was told.
        let state = self.call(|plugin, checker, word| unsafe { (plugin.check)(checker, word) });
        self.store(state)
    }

    pub(crate) fn pending(&mut self) -> c_int {
        // SAFETY: a struct of the era that the plugin was told.
        let state = self.call(|plugin, checker, word| unsafe { (plugin.pending)(checker, word) });
        self.store(state)
    }

    fn store(&mut self, state: c_int) -> c_int {
        if self.era != b'B' {
            self.put(20, &state.to_ne_bytes());
        }
        state
    }

    pub(crate) fn need_wait(&mut self) -> bool {
        // SAFETY: a struct of the era that the plugin was told.
        self.call(|plugin, checker, _| unsafe { (plugin.need_wait)(checker) })
    }

    pub(crate) fn free(&mut self) {
        // SAFETY: a struct of the era that the plugin was told.
        self.call(|plugin, checker, _| unsafe { (plugin.free)(checker) });
        assert_eq!(self.context(), 0);
    }

    pub(crate) fn mp_init(&mut self) -> Option<c_int> {
        let mp_init = self.plugin.mp_init?;
        // SAFETY: a struct of the era that the plugin was told.
        Some(self.call(|_, checker, _| unsafe { mp_init(checker) }))
    }

    /// One round of a host: the verdict, whichever call it comes from.
    pub(crate) fn round(&mut self) -> c_int {
        let state = self.check();
        if self.era == b'B' || state != PENDING {
            return state;
        }
        if self.need_wait() {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.pending()
    }

    /// From init to free.
    pub(crate) fn life(&mut self) {
        if self.init() == 0 {
            self.round();
            self.check();
            self.free();
        }
        (self.plugin.reset)();
    }

    /// Rounds until there is a verdict.
    pub(crate) fn verdict(&mut self) -> c_int {
        let mut state = PENDING;
        within(|| {
            state = self.round();
            state != PENDING
        });
        state
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        // SAFETY: NULL, or what `libcheck_mp_init` allocated, which is the host's to free.
        unsafe { libc::free(*self.map) };
    }
}

/// A file that takes O_DIRECT.
pub(crate) fn file() -> std::fs::File {
    let path = built().join(format!("checkers-ffi-test-{}", std::process::id()));
    std::fs::write(&path, [0; 8192]).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}
