// SPDX-License-Identifier: LGPL-2.0-or-later

//! `libcheckemc_clariion.so`, the emc_clariion path checker as a plugin.

checkers_ffi::export_checker!(
    checkers_core::Asynchronous<checker_emc_clariion::EmcClariion>,
    map_memory
);
