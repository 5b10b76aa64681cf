// SPDX-License-Identifier: LGPL-2.0-or-later

//! hp_sw over its decision table.

#![forbid(unsafe_code)]

use super::HpSw;
use cases::{Checker, good};

case_runner::unit_tests!(HpSw, Checker::HpSw, good());
