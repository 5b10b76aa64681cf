// SPDX-License-Identifier: LGPL-2.0-or-later

//! The command line, and the plugins it names.

#![forbid(unsafe_code)]

use bench::release::Release;
use clap::{Parser, ValueEnum};
use harness::abi::Abi;
use harness::side::Side;
use std::path::PathBuf;
use std::time::Duration;

/// What there is to test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// No call takes more than 5 ms.
    NeverWait,
    /// Memory, threads, descriptors and AIO contexts do not grow.
    Soak,
    /// Many threads in one plugin, under ThreadSanitizer.
    Races,
    /// Likewise, under valgrind.
    Memcheck,
    /// Memory, threads, descriptors and AIO quota are refused, at every place in turn.
    Shortage,
    /// Fork, signals, stops, cancelled threads, large static TLS.
    Scenes,
    /// Random replies, structs and orders of calls, under AddressSanitizer.
    Random,
}

/// Lets devices hang, return, break and vanish; prints how long calls took and what was used up.
///
/// Must be root, for loop devices and FUSE.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// The parts to run, in this order.
    #[arg(required = true)]
    pub(crate) parts: Vec<Part>,
    /// Our plugins.
    #[arg(long, default_value = "target/plugins")]
    pub(crate) ours: PathBuf,
    /// Upstream's plugins, a directory for each release. They run a few sequences, and those that are
    /// known to wait have to be noticed; their numbers of the soak are printed.
    #[arg(long, value_delimiter = ',')]
    pub(crate) upstream: Vec<PathBuf>,
    /// Random sequences for each checker and ABI.
    #[arg(long, default_value_t = 60)]
    pub(crate) sequences: u32,
    /// The seed of random sequences.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The length of the soak in seconds.
    #[arg(long, default_value_t = 20)]
    pub(crate) soak: u64,
    /// The length of each run of races and memcheck in seconds.
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: u64,
    /// A directory with what races, memcheck and random need; see scripts/endure.
    #[arg(long, default_value = "target/endure")]
    pub(crate) prepared: PathBuf,
    /// More refusals and checkers, and every scene with every plugin and 20 times as often.
    #[arg(long)]
    pub(crate) long: bool,
}

/// A plugin, and the ABI of the host that it is tested in.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) checker: String,
    pub(crate) plugin: PathBuf,
    pub(crate) abi: Abi,
    pub(crate) side: Side,
}

impl Subject {
    /// As it is printed.
    pub(crate) fn name(&self) -> String {
        format!("{}, {}", self.checker, self.side_name())
    }

    /// Whose plugin it is, and for upstream's of which ABI, in the table of the longest calls.
    pub(crate) fn group(&self) -> String {
        match self.side {
            Side::Ours => "ours".to_owned(),
            Side::Upstream => self.side_name(),
        }
    }

    fn side_name(&self) -> String {
        format!("{} {}", self.side, self.abi)
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.side == Side::Ours
    }
}

impl Options {
    /// Our plugins, each in every ABI.
    pub(crate) fn ours(&self) -> Vec<Subject> {
        let abis = [Abi::V0_7_9, Abi::V0_11, Abi::V0_15];
        let ours = Release::new(self.ours.clone());
        let subject = |checker: String, abi| Subject {
            plugin: ours.file(&checker),
            checker,
            abi,
            side: Side::Ours,
        };
        let checkers = ours.checkers().into_iter();
        checkers
            .flat_map(|checker| abis.map(|abi| subject(checker.clone(), abi)))
            .collect()
    }

    /// Upstream's plugins, each in its own ABI.
    pub(crate) fn upstream(&self) -> Vec<Subject> {
        let releases = self.upstream.iter().cloned().map(Release::new);
        let subjects = releases.flat_map(|release| {
            let checkers = release.checkers().into_iter();
            checkers
                .filter_map(|checker| {
                    let (plugin, abi) = release.plugin(&checker)?;
                    Some(Subject {
                        checker,
                        plugin,
                        abi,
                        side: Side::Upstream,
                    })
                })
                .collect::<Vec<_>>()
        });
        subjects.collect()
    }

    pub(crate) fn soak(&self) -> Duration {
        Duration::from_secs(self.soak)
    }
}
