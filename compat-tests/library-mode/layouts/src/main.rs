//! Prints `struct checker`: `layouts B` as checkers-ffi has it, `layouts HEADER CLANG-ARGUMENT…` as
//! bindgen sees it in a C header.

use checkers_ffi::Layout;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().ok_or("usage: layouts B|C|D|HEADER …")?;
    match what.as_str() {
        "B" => print(&Layout::B),
        "C" => print(&Layout::C),
        "D" => print(&Layout::D),
        header => seen_by_bindgen(header, arguments)?,
    }
    Ok(())
}

fn print(layout: &Layout) {
    println!("size {}", layout.size);
    for (member, offset) in layout.members {
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
