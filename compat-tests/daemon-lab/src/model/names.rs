// SPDX-License-Identifier: LGPL-2.0-or-later
//! Displays values by their names on the command line.

use std::fmt;

use clap::ValueEnum;

pub(super) fn display(value: &impl ValueEnum, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value.to_possible_value() {
        Some(value) => f.pad(value.get_name()),
        None => Err(fmt::Error),
    }
}
