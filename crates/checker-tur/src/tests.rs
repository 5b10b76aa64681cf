//! tur over its decision table.

#![forbid(unsafe_code)]

use super::Tur;
use cases::{Checker, host};

case_runner::unit_tests!(Tur, Checker::Tur, host(7));
