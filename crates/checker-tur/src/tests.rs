// SPDX-License-Identifier: LGPL-2.0-or-later

//! tur over its decision table.

#![forbid(unsafe_code)]

use super::Tur;
use cases::{Checker, host};

case_runner::unit_tests!(Tur, Checker::Tur, host(7));
