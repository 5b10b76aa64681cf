// SPDX-License-Identifier: LGPL-2.0-or-later

//! `libcheckreadsector0.so`, the readsector0 path checker as a plugin.

checkers_ffi::export_checker!(checkers_core::Asynchronous<checker_readsector0::Readsector0>);
