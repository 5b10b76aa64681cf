// SPDX-License-Identifier: LGPL-2.0-or-later

//! Which ABI a host has, by the symbols that it offers.

#![forbid(unsafe_code)]

use super::Abi;
use std::ffi::CStr;

/// The symbols that distinguish releases.
pub(crate) const PROBES: [&CStr; 6] = [
    c"checker_is_sync",
    c"checker_need_wait",
    c"start_checker_thread",
    c"mt_udev_ref",
    c"get_runner",
    c"check_runner",
];

/// The ABI of a host in which `has` finds these symbols, verified with every release from 0.7.9 to
/// 0.15.1. `None` for a combination that no release has.
pub(crate) fn detect(has: impl Fn(&'static CStr) -> bool) -> Option<Abi> {
    if !has(c"checker_is_sync") {
        return None;
    }
    if !has(c"checker_need_wait") {
        return Some(Abi::V0_7_9);
    }
    let runner = has(c"get_runner") || has(c"check_runner");
    match (has(c"start_checker_thread"), runner, has(c"mt_udev_ref")) {
        (true, false, false) => Some(Abi::V0_11),
        (true, false, true) => Some(Abi::V0_14),
        (false, true, _) => Some(Abi::V0_15),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(symbols: &[&str]) -> Option<Abi> {
        detect(|name| symbols.contains(&name.to_str().unwrap()))
    }

    #[test]
    fn every_release_is_recognised_by_its_symbols() {
        let (sync, thread, wait, udev) = (
            "checker_is_sync",
            "start_checker_thread",
            "checker_need_wait",
            "mt_udev_ref",
        );
        for (symbols, abi) in [
            (&[sync][..], Abi::V0_7_9),
            (&[sync, thread], Abi::V0_7_9),
            (&[sync, thread, wait], Abi::V0_11),
            (&[sync, thread, wait, udev], Abi::V0_14),
            (&[sync, wait, udev, "get_runner"], Abi::V0_15),
            (&[sync, wait, udev, "check_runner"], Abi::V0_15),
        ] {
            assert_eq!(detected(symbols), Some(abi), "{symbols:?}");
        }
    }

    #[test]
    fn other_combinations_are_unknown() {
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
            assert_eq!(detected(symbols), None, "{symbols:?}");
        }
    }
}
