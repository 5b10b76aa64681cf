// SPDX-License-Identifier: GPL-2.0-or-later

//! `libcheckcciss_tur.so`, the cciss_tur path checker as a plugin.

checkers_ffi::export_checker!(checkers_core::Asynchronous<checker_cciss_tur::CcissTur>);
