// SPDX-License-Identifier: LGPL-2.0-or-later

//! `libcheckhp_sw.so`, the hp_sw path checker as a plugin.

checkers_ffi::export_checker!(checkers_core::Asynchronous<checker_hp_sw::HpSw>);
