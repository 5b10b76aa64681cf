// SPDX-License-Identifier: LGPL-2.0-or-later

//! No product source has an allocation that ends the process when it fails: neither in a log line nor
//! anywhere else. `shortage` and `library_shortage` run what they can reach; this reads the rest.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::{Path, PathBuf};

/// What allocates, or makes an allocating text of what it is given.
const ALLOCATING: [&str; 19] = [
    "format!(",
    "vec![",
    "println!(",
    "eprintln!(",
    "eprint!(",
    "dbg!(",
    ".to_string()",
    ".to_owned()",
    ".to_vec()",
    ".to_string_lossy()",
    ".into_owned()",
    "String::",
    "Box::new(",
    "Arc::new(",
    "Rc::new(",
    "::with_capacity(",
    // Its lock is a thread-local variable, which the dynamic linker allocates.
    "stderr()",
    // Displayed, it makes a String.
    "io::Error",
    // Allocates what the new thread shares with its handle.
    "thread::Builder",
];

/// What is in order, and why.
const IN_ORDER: [(&str, &str, &str); 10] = [
    (
        "kernel-fd/src/errno.rs",
        "io::Error",
        "the number is taken out, or put in",
    ),
    (
        "ffi/src/host/attributes.rs",
        "io::Error",
        "made of an error number",
    ),
    (
        "ffi/src/host/threads.rs",
        "io::Error",
        "carries a number to the pool",
    ),
    (
        "ffi/src/host/panic_hook.rs",
        "Box::new(",
        "of a function, which has no size",
    ),
    (
        "checkers-core/src/asynchronous/pool/thread.rs",
        "thread::Builder",
        "for programs that are no daemon",
    ),
    ("sg-io/src/script.rs", "", "a device for tests"),
    ("libaio-sys/src/mapping.rs", ".to_vec()", "for tests alone"),
    ("model.rs", "", "for model checking alone"),
    ("kernel/model/context.rs", "", "for model checking alone"),
    (
        "kernel-fd/src/stderr.rs",
        "stderr()",
        "names the descriptor, without taking the lock",
    ),
];

/// The sources of everything that a daemon loads.
fn product() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut folders = vec![root.join("crates"), root.join("ffi")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let skipped = ["tests", "benches", "pathcheck", "target", "tests.rs"];
            if skipped.contains(&&*name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs")
                && path
                    .strip_prefix(root)
                    .is_ok_and(|path| path.components().any(|part| part.as_os_str() == "src"))
            {
                files.push(path);
            }
        }
    }
    files
}

/// The lines of a source that allocate, with what does it; without comments and unit tests.
fn allocations(source: &str) -> Vec<(usize, &'static str)> {
    let product = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = product.lines().enumerate();
    lines
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap()))
        .flat_map(|(number, line)| {
            let found = ALLOCATING.into_iter().filter(|word| line.contains(word));
            found.map(move |word| (number, word))
        })
        .collect()
}

#[test]
fn no_product_source_allocates_without_a_way_to_fail() {
    let files = product();
    assert!(files.len() > 60, "only {} sources were found", files.len());
    let mut bad = Vec::new();
    for file in files {
        let source = std::fs::read_to_string(&file).unwrap();
        for (line, word) in allocations(&source) {
            let allowed = IN_ORDER
                .iter()
                .any(|(place, what, _)| file.ends_with(place) && word.contains(what));
            if !allowed {
                bad.push(format!("{}:{line}: {word}", file.display()));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn the_scan_sees_what_it_is_for() {
    let source = "fn f() {\n    log::warn!(\n        \"{}: {}\",\n        name.to_string(), // vec![]\n        \
                  io::Error::from_raw_os_error(code)\n    );\n}\n\n#[cfg(test)]\nmod tests {\n    // fine\n    \
                  format!(\"\")\n}\n";
    assert_eq!(allocations(source), [(4, ".to_string()"), (5, "io::Error")]);
}
