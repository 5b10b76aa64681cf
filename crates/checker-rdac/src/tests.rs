// SPDX-License-Identifier: LGPL-2.0-or-later

//! rdac over its decision tables.

#![forbid(unsafe_code)]

use super::Rdac;
use cases::{Checker, good, host};

case_runner::unit_tests!(Rdac, Checker::Rdac, host(7));

#[test]
fn a_cancelled_preparation_sends_nothing_more() {
    case_runner::run_cancelled_setup::<Rdac>(&good());
}
