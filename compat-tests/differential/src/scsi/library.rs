//! What the release's own libmultipath says of numbers: the texts of message ids and the names of
//! path states, against which the tables of this program are compared.

use crate::scsi::pair::Tally;
use harness::abi::Abi;
use harness::checker_struct::Checker;
use harness::plugin::message;
use harness::state::State;
use std::ffi::{CStr, c_char, c_int, c_void};

type Message = unsafe extern "C" fn(*const c_void) -> *const c_char;
type StateName = unsafe extern "C" fn(c_int) -> *const c_char;

/// Compares the tables. libmultipath must be loaded for all.
///
/// # Errors
/// When it lacks the functions.
pub(crate) fn compare_tables(abi: Abi, tally: &mut Tally) -> Result<(), String> {
    // SAFETY: from 0.7.9 on these functions have these types.
    let (text, name): (Message, StateName) = unsafe {
        (
            function(c"checker_message")?,
            function(c"checker_state_name")?,
        )
    };
    // A class without which there are no messages; nothing in it counts for ids below 100.
    let mut class = [0_u64; 64];
    let mut checker = Checker::new(abi, class.as_mut_ptr().cast(), -1, 0)
        .map_err(|trouble| trouble.to_string())?;
    for id in -1..=12_i16 {
        checker.set_msgid(id);
        // SAFETY: the struct has this ABI's layout; the library gives a string that lasts.
        let found = unsafe { CStr::from_ptr(text(checker.as_ptr())) }.to_string_lossy();
        check(
            tally,
            &format!("message {id}"),
            &found,
            message(abi, &[], id),
        );
    }
    for state in 0..abi.states() {
        // SAFETY: the number is one of this ABI's; the library gives a string that lasts.
        let found = unsafe { CStr::from_ptr(name(state)) }.to_string_lossy();
        check(
            tally,
            &format!("state {state}"),
            &found,
            &State(state).to_string(),
        );
    }
    // SAFETY: the first number beyond gets a text of its own, from 0.8.5 on.
    let found = unsafe { CStr::from_ptr(name(abi.states())) }.to_string_lossy();
    check(tally, "the state beyond the last", &found, "invalid");
    Ok(())
}

fn check(tally: &mut Tally, what: &str, found: &str, expected: &str) {
    tally.lives += 1;
    if found != expected {
        tally.mismatch(what, &format!("{expected:?} expected, {found:?} found"));
    }
}

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
