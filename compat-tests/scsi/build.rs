//! Makes the executable export its symbols, so that the plugins bind to its `ioctl`, `fstat` and
//! libmultipath functions.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=-rdynamic");
}
