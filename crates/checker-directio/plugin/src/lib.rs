//! `libcheckdirectio.so`, the directio path checker as a plugin.

checkers_ffi::export_checker!(checker_directio::Directio);
