//! Prints `struct checker`: `layouts 0.11` as checkers-ffi has it, `layouts HEADER CLANG-ARGUMENT…` as
//! bindgen sees it in a C header.

use checkers_ffi::{Abi, Layout};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().ok_or("usage: layouts 0.7.9|0.11|0.15|HEADER …")?;
    match what.as_str() {
        "0.7.9" => print(Layout::of(Abi::V0_7_9)),
        "0.11" => print(Layout::of(Abi::V0_11)),
        "0.15" => print(Layout::of(Abi::V0_15)),
        header => seen_by_bindgen(header, arguments)?,
    }
    Ok(())
}

fn print(layout: &Layout) {
    println!("size {}", layout.size());
    for (member, offset) in layout.members() {
        println!("{member} {offset}");
    }
}

/// The numbers are in the assertions that bindgen adds to its output.
fn seen_by_bindgen(
    header: &str,
    arguments: impl Iterator<Item = String>,
) -> Result<(), Box<dyn Error>> {
    let text = bindgen::Builder::default()
        .header(header)
        .clang_args(arguments)
        .allowlist_type("checker")
        .layout_tests(true)
        .formatter(bindgen::Formatter::None)
        .generate()?
        .to_string();
    // Without a formatter the tokens are set apart by blanks.
    let text: String = text.split_whitespace().collect();
    println!("size {}", number(&text, "[\"Sizeofchecker\"][")?);
    for found in text.match_indices(FIELD) {
        let rest = text.get(found.0 + FIELD.len()..).unwrap_or_default();
        let member = rest.split('"').next().unwrap_or_default();
        println!("{member} {}", number(rest, member)?);
    }
    Ok(())
}

const FIELD: &str = "[\"Offsetoffield:checker::";

/// The number that is subtracted after `mark`: `… - 24usize]`.
fn number<'a>(text: &'a str, mark: &str) -> Result<&'a str, String> {
    text.split_once(mark)
        .and_then(|(_, rest)| rest.split_once('-'))
        .and_then(|(_, rest)| rest.split_once("usize"))
        .map(|(number, _)| number)
        .ok_or_else(|| format!("bindgen's output has no {mark}"))
}
