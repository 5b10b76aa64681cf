// SPDX-License-Identifier: LGPL-2.0-or-later

//! The command line.

#![forbid(unsafe_code)]

use cases::Checker;
use clap::Parser;
use harness::abi::Abi;
use std::path::PathBuf;

/// Compares this project's SCSI checkers with upstream's of one multipath-tools release.
#[derive(Clone, Debug, Parser)]
#[command(name = "compat-scsi")]
pub(crate) struct Arguments {
    /// The ABI of upstream's plugins: 0.7.9, 0.11, 0.14 or 0.15
    #[arg(long)]
    pub(crate) abi: Abi,
    /// Upstream's libcheck*.so, where the package has them (ROOT/lib/multipath), with the package's
    /// libraries in ROOT/lib and ROOT/usr/lib
    #[arg(long, value_name = "DIR")]
    pub(crate) upstream: PathBuf,
    /// This project's libcheck*.so
    #[arg(long, value_name = "DIR")]
    pub(crate) ours: PathBuf,
    /// The ledger of differences
    #[arg(long, value_name = "FILE", default_value = "docs/differences.toml")]
    pub(crate) ledger: PathBuf,
    /// Where random cases begin (default: the time of day)
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How many random replies at least
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) replies: u64,
    /// Only this checker; rows of the ledger may then not show
    #[arg(long, value_name = "NAME", value_parser = checker)]
    pub(crate) checker: Option<Checker>,
    /// Not the asynchronous protocol; rows of the ledger may then not show
    #[arg(long)]
    pub(crate) verdicts: bool,
}

impl Arguments {
    /// The checkers to compare.
    pub(crate) fn checkers(&self) -> Vec<Checker> {
        let wanted = |checker: &Checker| self.checker.is_none_or(|only| only == *checker);
        Checker::ALL.into_iter().filter(wanted).collect()
    }

    /// Whether every row that the ledger has for this suite and ABI must show.
    pub(crate) fn is_complete(&self) -> bool {
        self.checker.is_none() && !self.verdicts
    }
}

fn checker(name: &str) -> Result<Checker, String> {
    let found = Checker::ALL.into_iter().find(|one| one.name() == name);
    found.ok_or_else(|| format!("no SCSI checker {name:?}"))
}
