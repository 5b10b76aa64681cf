// SPDX-License-Identifier: LGPL-2.0-or-later
//! Prints the size of `struct checker` and the offsets of its members, a line each, as bindgen finds
//! them in a C header: `layout HEADER CLANG-ARGUMENT…`.

#![forbid(unsafe_code)]

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let header = arguments
        .next()
        .ok_or("usage: layout HEADER CLANG-ARGUMENT…")?;
    let text = bindgen::Builder::default()
        .header(header)
        .clang_args(arguments)
        .allowlist_type("checker")
        .layout_tests(true)
        .formatter(bindgen::Formatter::None)
        .generate()?
        .to_string();
    // bindgen writes size and offsets as assertions. Unformatted tokens are separated by blanks.
    let text: String = text.split_whitespace().collect();
    println!("size {}", number(&text, "[\"Sizeofchecker\"][")?);
    let field = "[\"Offsetoffield:checker::";
    for (at, _) in text.match_indices(field) {
        let rest = text.get(at + field.len()..).unwrap_or_default();
        let member = rest.split('"').next().unwrap_or_default();
        println!("{member} {}", number(rest, member)?);
    }
    Ok(())
}

/// The number that an assertion subtracts after `mark`: `… - 24usize]`.
fn number<'a>(text: &'a str, mark: &str) -> Result<&'a str, String> {
    text.split_once(mark)
        .and_then(|(_, rest)| rest.split_once('-'))
        .and_then(|(_, rest)| rest.split_once("usize"))
        .map(|(number, _)| number)
        .ok_or_else(|| format!("bindgen's output has no {mark}"))
}
