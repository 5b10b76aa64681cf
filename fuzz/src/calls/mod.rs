// SPDX-License-Identifier: LGPL-2.0-or-later

//! Calls in any order, on structs with any contents, over devices with any replies.
//!
//! The host keeps to the ABI: calls on one struct do not overlap, `context` is NULL before the first init
//! and is not touched, and a struct with an instance gets no second one.

mod device;
mod path;

use crate::input::Input;
use checkers_core::{Checker, pool};
use checkers_ffi::{Abi, calls};
use device::{FILE, HANGS, replies};
use path::Path;
use std::ffi::{c_int, c_long, c_void};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// The most calls that are made for one input.
const MOST_CALLS: u32 = 64;

/// How long a check of a healthy device may take.
const LIMIT: Duration = Duration::from_secs(20);

const UNCHECKED: c_int = 1;
const PENDING: c_int = 6;
/// The states that a healthy device may have: DOWN, UP and GHOST.
const HEALTHY: [c_int; 3] = [2, 3, 5];

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
    /// The state of a device that replies with success and zeros, found before any other call.
    healthy: OnceLock<c_int>,
}

impl Functions {
    const fn of<C: Checker>() -> Functions {
        Functions {
            init: calls::init::<C>,
            check: calls::check::<C>,
            pending: calls::pending::<C>,
            need_wait: calls::need_wait::<C>,
            free: calls::free::<C>,
            mp_init: calls::mp_init::<C>,
            reset: calls::reset::<C>,
            messages: C::MESSAGES.len(),
            healthy: OnceLock::new(),
        }
    }
}

macro_rules! functions {
    ($({ $name:ident $crate_name:ident $checker:ty $(, probe $probe:ty)? $(, scsi $scsi:ty)? })*) => {
        [$(Functions::of::<$checker>()),*]
    };
}

static CHECKERS: [Functions; checkers::NAMES.len()] = checkers::for_each_checker!(functions);

/// The device. Worker threads get stacks with room for what a sanitizer adds to each frame.
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

/// Makes the calls that the bytes select.
///
/// # Panics
/// When a call breaks the ABI, or a healthy path is not checked afterwards as it was before.
pub fn run(bytes: &[u8]) {
    let file = prepare();
    let mut input = Input::new(bytes);
    let functions = &CHECKERS[usize::from(input.byte()) % CHECKERS.len()];
    let letter = b"BCD"[usize::from(input.byte() % 3)].into();
    assert_eq!(calls::assume_abi(letter), 0, "the ABI is not accepted");
    let Some(abi) = Abi::from_letter(letter) else {
        panic!("{letter} is the letter of no ABI");
    };
    FILE.store(file.as_raw_fd(), SeqCst);
    let healthy = *functions
        .healthy
        .get_or_init(|| state_of_healthy_path(abi, functions));
    // The replies come from the end, the calls from the beginning.
    let middle = bytes.len() / 2;
    *replies() = Some(bytes[middle..].iter().rev().copied().collect());
    let mut paths: [Path; 3] = std::array::from_fn(|_| Path::new(abi));
    for path in &mut paths {
        path.contents(&mut input);
    }
    let mut calls = 0;
    while !input.is_empty() && calls < MOST_CALLS {
        calls += 1;
        let word = input.byte();
        let path = &mut paths[usize::from(word >> 4) % 3];
        match word & 15 {
            0..=2 => path.check(functions),
            3..=5 => path.pending(functions),
            6 => path.need_wait(functions),
            7 => path.free(functions),
            8..=10 => path.init(functions),
            11 => (functions.reset)(),
            12 => path.contents(&mut input),
            13 => HANGS.store(!HANGS.load(SeqCst), SeqCst),
            14 => path.mp_init(functions),
            _ => std::thread::sleep(Duration::from_micros(50)),
        }
    }
    HANGS.store(false, SeqCst);
    for path in &mut paths {
        path.free(functions);
        path.free(functions);
    }
    *replies() = None;
    assert_eq!(state_of_healthy_path(abi, functions), healthy);
}

/// Checks a new path whose device replies with success and zeros.
fn state_of_healthy_path(abi: Abi, functions: &Functions) -> c_int {
    let mut path = Path::new(abi);
    // With ABI 0.7.9 directio counts calls instead of seconds.
    path.set_device(FILE.load(SeqCst), 100_000_000);
    path.init(functions);
    assert!(path.has_context(), "init fails for a healthy path");
    let begin = Instant::now();
    let state = loop {
        path.check(functions);
        while path.state() == PENDING && begin.elapsed() < LIMIT {
            std::thread::yield_now();
            match abi {
                Abi::V0_7_9 => path.check(functions),
                Abi::V0_11 | Abi::V0_14 | Abi::V0_15 => path.pending(functions),
            }
        }
        let state = path.state();
        if HEALTHY.contains(&state) {
            break state;
        }
        assert!(
            state == UNCHECKED && begin.elapsed() < LIMIT,
            "state {state} of a healthy path"
        );
    };
    path.free(functions);
    state
}
