// SPDX-License-Identifier: LGPL-2.0-or-later

//! `libcheckrdac.so`, the rdac path checker as a plugin.

checkers_ffi::export_checker!(checkers_core::Asynchronous<checker_rdac::Rdac>);
