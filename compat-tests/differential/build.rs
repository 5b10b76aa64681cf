// SPDX-License-Identifier: LGPL-2.0-or-later

//! Makes the host executables export their symbols, as an executable linked against libmultipath
//! does: plugins bind to them, and look for them to learn which release loaded them.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=-rdynamic");
}
