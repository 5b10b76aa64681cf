//! Calls in any order, on structs with any contents, over devices that say anything.
//!
//! What a host promises holds: calls on one struct do not overlap, `context` is NULL before the first
//! init and is not touched, and a struct that has a checker gets no second one.

use crate::input::Input;
use checker_cciss_tur::CcissTur;
use checker_directio::Directio;
use checker_emc_clariion::EmcClariion;
use checker_hp_sw::HpSw;
use checker_rdac::Rdac;
use checker_readsector0::Readsector0;
use checker_tur::Tur;
use checkers_core::{Asynchronous, Checker, pool};
use checkers_ffi::calls;
use std::ffi::{c_int, c_long, c_ulong, c_void};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI32};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The most calls that are made for one input.
const MOST_CALLS: u32 = 64;

/// How long a device that answers may take.
const SOON: Duration = Duration::from_secs(20);

const UNCHECKED: c_int = 1;
const PENDING: c_int = 6;
/// `PATH_DISCONNECTED`, which hosts before 0.14 do not know.
const DISCONNECTED: c_int = 10;

/// The functions of one checker.
struct Functions {
    init: unsafe fn(*mut c_void) -> c_int,
    check: unsafe fn(*mut c_void, *mut c_long) -> c_int,
    pending: unsafe fn(*mut c_void, *mut c_long) -> c_int,
    need_wait: unsafe fn(*mut c_void) -> bool,
    free: unsafe fn(*mut c_void),
    mp_init: unsafe fn(*mut c_void) -> c_int,
    reset: fn(),
    messages: usize,
    /// What a device that answers with success and zeroes comes to.
    healthy: c_int,
}

fn functions<C: Checker>(healthy: c_int) -> Functions {
    Functions {
        init: calls::init::<C>,
        check: calls::check::<C>,
        pending: calls::pending::<C>,
        need_wait: calls::need_wait::<C>,
        free: calls::free::<C>,
        mp_init: calls::mp_init::<C>,
        reset: calls::reset::<C>,
        messages: C::MESSAGES.len(),
        healthy,
    }
}

fn checker(which: u8) -> Functions {
    let (down, up, ghost) = (2, 3, 5);
    match which % 7 {
        0 => functions::<Asynchronous<Tur>>(up),
        1 => functions::<Asynchronous<Readsector0>>(up),
        2 => functions::<Asynchronous<Rdac>>(ghost),
        3 => functions::<Asynchronous<EmcClariion>>(down),
        4 => functions::<Asynchronous<HpSw>>(up),
        5 => functions::<Asynchronous<CcissTur>>(up),
        _ => functions::<Directio>(up),
    }
}

/// Threads with room for what a sanitizer adds to each frame.
fn prepare() -> &'static File {
    static FILE: OnceLock<File> = OnceLock::new();
    FILE.get_or_init(|| {
        pool::set_spawner(|body| {
            let builder = std::thread::Builder::new().stack_size(1 << 20);
            builder.spawn(body).map(drop)
        });
        let name = std::env::temp_dir().join(format!("checkers-fuzz-{}", std::process::id()));
        let file = std::fs::write(&name, [0; 65536]).and_then(|()| File::open(&name));
        let _ = std::fs::remove_file(&name);
        match file {
            Ok(file) => file,
            Err(error) => panic!("no file: {error}"),
        }
    })
}

/// Makes the calls that the bytes say.
///
/// # Panics
/// When something does not hold.
pub fn run(bytes: &[u8]) {
    let file = prepare();
    let mut input = Input::new(bytes);
    let functions = checker(input.byte());
    let era = b"BCD"[usize::from(input.byte() % 3)];
    assert_eq!(calls::assume_abi(era.into()), 0, "the era is not taken");
    FILE.store(file.as_raw_fd(), SeqCst);
    // The replies come from the end, the calls from the beginning.
    let middle = bytes.len() / 2;
    *replies() = Some(bytes[middle..].iter().rev().copied().collect());
    let mut paths: [Path; 3] = std::array::from_fn(|_| Path::new(era));
    for path in &mut paths {
        path.contents(&mut input);
    }
    let mut calls = 0;
    while !input.is_empty() && calls < MOST_CALLS {
        calls += 1;
        let word = input.byte();
        let path = &mut paths[usize::from(word >> 4) % 3];
        match word & 15 {
            0..=2 => path.check(&functions),
            3..=5 => path.pending(&functions),
            6 => path.need_wait(&functions),
            7 => path.free(&functions),
            8..=10 => path.init(&functions),
            11 => (functions.reset)(),
            12 => path.contents(&mut input),
            13 => HANGS.store(!HANGS.load(SeqCst), SeqCst),
            14 => path.mp_init(&functions),
            _ => std::thread::sleep(Duration::from_micros(50)),
        }
    }
    HANGS.store(false, SeqCst);
    for path in &mut paths {
        path.free(&functions);
        path.free(&functions);
    }
    *replies() = None;
    well(era, &functions);
}

/// Whatever came before, a path whose device answers is well.
fn well(era: u8, functions: &Functions) {
    let mut path = Path::new(era);
    path.set(FD, &FILE.load(SeqCst).to_ne_bytes());
    // In era B directio counts calls.
    path.set(TIMEOUT, &100_000_000_u32.to_ne_bytes());
    path.init(functions);
    assert!(path.has_context(), "init fails for a path that is well");
    let begin = Instant::now();
    loop {
        path.check(functions);
        while path.state == PENDING && begin.elapsed() < SOON {
            std::thread::yield_now();
            match era {
                b'B' => path.check(functions),
                _ => path.pending(functions),
            }
        }
        if path.state == functions.healthy {
            break;
        }
        assert!(
            path.state == UNCHECKED && begin.elapsed() < SOON,
            "state {} of a path that is well",
            path.state
        );
    }
    path.free(functions);
}

const FD: usize = 8;
const TIMEOUT: usize = 12;
const DISABLE: usize = 16;
const PATH_STATE: usize = 20;

/// A `struct checker` in memory of exactly its size.
struct Path {
    era: u8,
    bytes: Vec<u64>,
    map: Box<*mut c_void>,
    map_word: Box<c_long>,
    /// What the last call answered.
    state: c_int,
}

impl Path {
    fn new(era: u8) -> Path {
        let words = if era == b'C' { 6 } else { 5 };
        Path {
            era,
            bytes: vec![0; words],
            map: Box::new(null_mut()),
            map_word: Box::new(-1),
            state: UNCHECKED,
        }
    }

    fn pointer(&mut self) -> *mut c_void {
        self.bytes.as_mut_ptr().cast()
    }

    fn all(&self) -> Vec<u8> {
        self.bytes
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect()
    }

    fn set(&mut self, offset: usize, value: &[u8]) {
        let mut bytes = self.all();
        bytes[offset..offset + value.len()].copy_from_slice(value);
        for (word, bytes) in self.bytes.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_ne_bytes(std::array::from_fn(|at| bytes[at]));
        }
    }

    fn context_at(&self) -> usize {
        if self.era == b'B' { 24 } else { 32 }
    }

    fn message_at(&self) -> usize {
        if self.era == b'B' { 20 } else { 24 }
    }

    fn has_context(&self) -> bool {
        let at = self.context_at();
        self.all()[at..at + 8] != [0; 8]
    }

    /// Fills in the host's fields.
    fn contents(&mut self, input: &mut Input<'_>) {
        let kinds = input.byte();
        let fd = match kinds & 3 {
            0 | 1 => FILE.load(SeqCst),
            2 => -1,
            _ => 1_000_000 + c_int::from(input.byte()),
        };
        let timeout = match kinds >> 2 & 3 {
            0 => 30,
            1 => 0,
            2 => c_int::from(input.byte()),
            _ => input.word(),
        };
        self.set(FD, &fd.to_ne_bytes());
        self.set(TIMEOUT, &timeout.to_ne_bytes());
        self.set(DISABLE, &c_int::from(kinds & 16 != 0).to_ne_bytes());
        let message = self.message_at();
        if kinds & 32 != 0 {
            self.set(message, &[input.byte(), input.byte()]);
        }
        if self.era != b'B' {
            let state = if kinds & 64 != 0 {
                input.word()
            } else {
                UNCHECKED
            };
            self.set(PATH_STATE, &state.to_ne_bytes());
        }
        if self.era != b'D' {
            let place: *mut *mut c_void = &raw mut *self.map;
            let place = if kinds & 128 != 0 { place } else { null_mut() };
            let at = self.context_at() + 8;
            self.set(at, &place.expose_provenance().to_ne_bytes());
        }
    }

    /// Makes a call, and sees that nothing was written but what is the plugin's.
    fn call<T>(&mut self, call: impl FnOnce(*mut c_void, *mut c_long) -> T) -> T {
        let (message, context) = (self.message_at(), self.context_at());
        let foreign = |bytes: Vec<u8>| {
            let mut bytes = bytes;
            bytes[message..message + 2].fill(0);
            bytes[context..context + 8].fill(0);
            bytes
        };
        let before = foreign(self.all());
        let word = match self.era {
            b'D' if self.state % 2 == 0 => null_mut(),
            b'D' => &raw mut *self.map_word,
            // Nothing that anybody may look at.
            _ => std::ptr::without_provenance_mut(8),
        };
        let answer = call(self.pointer(), word);
        assert_eq!(
            before,
            foreign(self.all()),
            "written where nothing is the plugin's"
        );
        answer
    }

    fn init(&mut self, functions: &Functions) {
        if !self.has_context() {
            // SAFETY: a struct of the era that the library was told, used by this thread alone.
            let code = self.call(|checker, _| unsafe { (functions.init)(checker) });
            assert_eq!(code == 0, self.has_context(), "init answered {code}");
        }
    }

    fn check(&mut self, functions: &Functions) {
        let before = self.message();
        // SAFETY: as in `init`.
        let state = self.call(|checker, map| unsafe { (functions.check)(checker, map) });
        self.answered(state, before, functions);
    }

    fn pending(&mut self, functions: &Functions) {
        if self.era != b'B' {
            let before = self.message();
            // SAFETY: as in `init`.
            let state = self.call(|checker, map| unsafe { (functions.pending)(checker, map) });
            self.answered(state, before, functions);
        }
    }

    fn message(&self) -> i16 {
        let (at, bytes) = (self.message_at(), self.all());
        i16::from_ne_bytes([bytes[at], bytes[at + 1]])
    }

    /// `before` is the message id that the struct had before the call.
    fn answered(&mut self, state: c_int, before: i16, functions: &Functions) {
        let stored = (self.era != b'B').then(|| {
            let bytes = self.all();
            c_int::from_ne_bytes(std::array::from_fn(|at| bytes[PATH_STATE + at]))
        });
        assert!(
            (0..=DISCONNECTED).contains(&state) || stored == Some(state),
            "state {state}, stored {stored:?}"
        );
        if self.era != b'D' && stored != Some(state) {
            assert_ne!(state, DISCONNECTED);
        }
        self.state = state;
        if self.era != b'B' {
            self.set(PATH_STATE, &state.to_ne_bytes());
        }
        // What was there before may have been anything.
        let id = self.message();
        if id != before {
            let own = usize::try_from(id).ok().and_then(|id| id.checked_sub(100));
            match own {
                Some(own) => assert!(own < functions.messages, "message {id}"),
                None => assert!((0..=10).contains(&id), "message {id}"),
            }
        }
    }

    fn need_wait(&mut self, functions: &Functions) {
        // SAFETY: as in `init`.
        let wants = self.call(|checker, _| unsafe { (functions.need_wait)(checker) });
        assert!(!wants || self.has_context());
    }

    fn free(&mut self, functions: &Functions) {
        // SAFETY: as in `init`.
        self.call(|checker, _| unsafe { (functions.free)(checker) });
        assert!(!self.has_context());
    }

    fn mp_init(&mut self, functions: &Functions) {
        if self.era != b'D' {
            // SAFETY: as in `init`.
            self.call(|checker, _| unsafe { (functions.mp_init)(checker) });
        }
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        // SAFETY: NULL, or what `mp_init` has allocated for the host.
        unsafe { libc::free(*self.map) };
    }
}

/// The descriptor of the device.
static FILE: AtomicI32 = AtomicI32::new(-1);
/// Commands hang.
static HANGS: AtomicBool = AtomicBool::new(false);
/// What the device says next; `None` for success and zeroes.
static REPLIES: Mutex<Option<Vec<u8>>> = Mutex::new(None);

fn replies() -> MutexGuard<'static, Option<Vec<u8>>> {
    REPLIES.lock().unwrap_or_else(PoisonError::into_inner)
}

const SG_IO: c_ulong = 0x2285;
/// CCISS_GETLUNINFO and CCISS_PASSTHRU of <linux/cciss_ioctl.h>, and what a reply fills in.
const CCISS: [(c_ulong, std::ops::Range<usize>); 2] = [(0x800c_4211, 0..12), (0xc058_420b, 28..68)];

/// The C library's function, for all of this program: the device is here.
///
/// # Safety
/// As for the C library's `ioctl`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    let reply_to = CCISS.iter().find(|(number, _)| *number == request);
    if request != SG_IO && reply_to.is_none() {
        // SAFETY: the caller's word.
        return unsafe { libc::syscall(libc::SYS_ioctl, fd, request, argument) } as c_int;
    }
    while HANGS.load(SeqCst) {
        std::thread::sleep(Duration::from_micros(20));
    }
    let mut replies = replies();
    let argument = argument.cast::<u8>();
    // SAFETY: what a request's argument points to is as large as its structure.
    unsafe {
        match reply_to {
            Some((_, range)) => {
                let mut bytes = [0; 88];
                fill(&mut replies, &mut bytes[range.clone()]);
                argument
                    .add(range.start)
                    .copy_from_nonoverlapping(bytes[range.clone()].as_ptr(), range.len());
            }
            None => answer(argument, &mut replies),
        }
    }
    if replies
        .as_mut()
        .is_some_and(|bytes| bytes.pop() == Some(255))
    {
        let errno = replies.as_mut().and_then(Vec::pop).unwrap_or(5);
        // SAFETY: the C library's errno of this thread.
        unsafe { *libc::__errno_location() = errno.into() };
        return -1;
    }
    0
}

/// Takes bytes from the replies, zeros where there are none left.
fn fill(replies: &mut Option<Vec<u8>>, place: &mut [u8]) {
    for byte in place {
        *byte = replies.as_mut().and_then(Vec::pop).unwrap_or(0);
    }
}

/// Fills in what the kernel fills in, with bytes: data, sense data and results. More is said to have
/// been written, perhaps, than was.
///
/// # Safety
/// `header` must be a `struct sg_io_hdr` of 64-bit systems whose pointers are good for their lengths.
unsafe fn answer(header: *mut u8, replies: &mut Option<Vec<u8>>) {
    const FROM_DEVICE: c_int = -3;
    let mut kinds = [0];
    fill(replies, &mut kinds);
    // SAFETY: the caller's word; offsets as in <scsi/sg.h>.
    unsafe {
        let number = |offset: usize| header.add(offset).cast::<u32>().read_unaligned() as usize;
        let pointer = |offset: usize| header.add(offset).cast::<*mut u8>().read_unaligned();
        let (length, sense_length) = (number(12), usize::from(header.add(9).read()));
        assert!(length <= 1 << 20, "a transfer of {length} bytes");
        if header.add(4).cast::<c_int>().read_unaligned() == FROM_DEVICE {
            let mut data = vec![0; length];
            if kinds[0] & 1 != 0 {
                let length = length.min(64);
                fill(replies, &mut data[..length]);
            }
            pointer(16).copy_from_nonoverlapping(data.as_ptr(), length);
        }
        if kinds[0] & 2 != 0 {
            let mut sense = vec![0; sense_length];
            fill(replies, &mut sense);
            pointer(32).copy_from_nonoverlapping(sense.as_ptr(), sense_length);
        }
        let mut results = [0; 24];
        if kinds[0] & 4 != 0 {
            fill(replies, &mut results);
        }
        header
            .add(64)
            .copy_from_nonoverlapping(results.as_ptr(), results.len());
    }
}
