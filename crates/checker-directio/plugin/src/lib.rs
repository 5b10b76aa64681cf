// SPDX-License-Identifier: LGPL-2.0-or-later

//! `libcheckdirectio.so`, the directio path checker as a plugin.

checkers_ffi::export_checker!(checker_directio::Directio);
