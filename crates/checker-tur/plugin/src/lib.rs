// SPDX-License-Identifier: LGPL-2.0-or-later

//! `libchecktur.so`, the tur path checker as a plugin.

checkers_ffi::export_checker!(checkers_core::Asynchronous<checker_tur::Tur>);
