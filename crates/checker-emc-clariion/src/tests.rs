// SPDX-License-Identifier: LGPL-2.0-or-later

//! emc_clariion over its decision table.

#![forbid(unsafe_code)]

use super::EmcClariion;
use cases::{Checker, active_path, host};

case_runner::unit_tests!(EmcClariion, Checker::EmcClariion, host(7), active_path());
