// SPDX-License-Identifier: LGPL-2.0-or-later

//! The build script of every plugin: its link options.

#![forbid(unsafe_code)]

fn main() {
    println!("cargo:rerun-if-changed=../../../ffi/plugin-link.rs");
    for option in [
        // A worker that hangs in the kernel outlives every dlclose.
        "nodelete",
        // Missing symbols show when the plugin is loaded, not when a path fails.
        "now",
        "relro",
        "noexecstack",
    ] {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,{option}");
    }
}
