// SPDX-License-Identifier: LGPL-2.0-or-later

//! The texts of message ids and the names of path states: this program's tables against those of the
//! release's own libmultipath.

use crate::scsi::libmultipath::function;
use crate::scsi::results::{Agreed, Results, expect};
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
pub(crate) fn compare(abi: Abi, results: &mut Results) -> Result<(), String> {
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
    let mut enter = |what: String, found: *const c_char, expected: &str| {
        // SAFETY: libmultipath returns a string that lasts.
        let found = unsafe { CStr::from_ptr(found) }.to_string_lossy();
        let result = expect("its text", &*found, expected);
        results.enter(&what, result.map(|()| Agreed::default()));
    };
    for id in -1..=12_i16 {
        checker.set_msgid(id);
        // SAFETY: the struct has this ABI's layout.
        let found = unsafe { text(checker.as_ptr()) };
        enter(format!("message {id}"), found, message(abi, &[], id));
    }
    // The first number beyond the states has a text of its own, from 0.8.5 on.
    for number in 0..=abi.states() {
        let expected = match number < abi.states() {
            true => State(number).to_string(),
            false => "invalid".to_owned(),
        };
        // SAFETY: the function takes any number.
        let found = unsafe { name(number) };
        enter(format!("state {number}"), found, &expected);
    }
    Ok(())
}
