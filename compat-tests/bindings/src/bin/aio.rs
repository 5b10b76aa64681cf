// SPDX-License-Identifier: LGPL-2.0-or-later
//! Prints the bindings of the kernel's AIO header for `crates/libaio-sys`.

#![forbid(unsafe_code)]

use std::io::Write;

const PREAMBLE: &str = "\
// SPDX-License-Identifier: LGPL-2.0-or-later

//! Linux native AIO as <linux/aio_abi.h> declares it.
//!
//! Made by scripts/regenerate-bindings; do not edit. The layout assertions at compile time hold
//! on every 64-bit little-endian target. A big-endian kernel swaps `aio_key` and `aio_rw_flags`;
//! `iocb::set_rw_flags` knows that.

#![forbid(unsafe_code)]
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bindings = bindgen::Builder::default()
        .header_contents("aio.h", "#include <linux/aio_abi.h>\n")
        .allowlist_type("iocb|io_event|aio_context_t")
        .allowlist_var("IOCB_(CMD|FLAG)_.*")
        .prepend_enum_name(false)
        .use_core()
        .derive_default(true)
        .derive_debug(true)
        // Comments are not copied: text must not come from the header.
        .generate_comments(false)
        .layout_tests(true)
        .disable_header_comment()
        .rust_target(bindgen::RustTarget::stable(85, 0).map_err(|e| e.to_string())?)
        .rust_edition(bindgen::RustEdition::Edition2024)
        .generate()?;
    write!(std::io::stdout(), "{PREAMBLE}\n{bindings}")?;
    Ok(())
}
