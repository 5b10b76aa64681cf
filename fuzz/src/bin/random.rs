// SPDX-License-Identifier: LGPL-2.0-or-later

//! Feeds every target with random numbers, the same ones each time.
//!
//! usage: random SECONDS [FILE…]
//!        random faulty
//!
//! SECONDS for each target; files, to see what one input does, go to the target whose name is in
//! their path. Prints how many inputs each target took; the first finding ends the
//! program. `faulty` reads memory that has been freed, which AddressSanitizer has to find.

use checkers_fuzz::{TARGETS, Target};
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|word| word == "faulty").is_some() {
        println!("read {} from freed memory, and nothing was found", freed());
        return ExitCode::SUCCESS;
    }
    let Some(seconds) = words.next().and_then(|word| word.parse().ok()) else {
        eprintln!("usage: random SECONDS [FILE…]");
        return ExitCode::from(2);
    };
    for file in words {
        for (name, target) in TARGETS {
            if file.contains(name) {
                match std::fs::read(&file) {
                    Ok(bytes) => target(&bytes),
                    Err(error) => {
                        eprintln!("{file}: {error}");
                        return ExitCode::FAILURE;
                    }
                }
            }
        }
    }
    for (name, target) in TARGETS {
        match feed(target, Duration::from_secs(seconds)) {
            Ok(inputs) => println!("{name:<6} {inputs:>10} random inputs, no finding"),
            Err(finding) => {
                println!("{name}: {finding}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// What is found where a block of memory was.
fn freed() -> u8 {
    let block = std::hint::black_box(vec![7_u8; 32]);
    let place = block.as_ptr();
    drop(block);
    // SAFETY: it is not: this is the fault.
    unsafe { place.read_volatile() }
}

/// How many inputs the target took, or what it found.
fn feed(target: Target, span: Duration) -> Result<u64, String> {
    let end = Instant::now() + span;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut inputs = 0;
    let mut bytes = Vec::new();
    while Instant::now() < end {
        bytes.clear();
        let length = next() % 256;
        // Small values matter more often than others.
        bytes.extend((0..length).map(|_| {
            let word = next() >> 16;
            let byte = (word >> 8) as u8;
            if word & 3 == 0 { byte & 7 } else { byte }
        }));
        if let Err(payload) = catch_unwind(|| target(&bytes)) {
            let what = payload.downcast_ref::<String>().map(String::as_str);
            let what = what.or(payload.downcast_ref::<&str>().copied());
            let what = what.unwrap_or("a panic");
            return Err(format!("{what}, with {bytes:02x?}"));
        }
        inputs += 1;
    }
    Ok(inputs)
}
