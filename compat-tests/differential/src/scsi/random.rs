// SPDX-License-Identifier: LGPL-2.0-or-later

//! Random cases until upstream's plugin has had a number of replies.

#![forbid(unsafe_code)]

use crate::scsi::implementation::{Mode, modes};
use crate::scsi::pair::Pair;
use crate::scsi::results::Results;
use cases::{Checker, Hosts, any_input};
use harness::abi::Abi;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::RefCell;

/// How many cases are run with one state of the random number generator.
const BATCH: u32 = 1000;

/// Runs them. The first that differs is made as small as possible and entered as a failure.
///
/// # Errors
/// When standard error cannot be kept.
pub(crate) fn run(
    pair: &Pair,
    seed: u64,
    replies: u64,
    results: &mut Results,
) -> Result<(), String> {
    let hosts = match pair.abi < Abi::V0_15 {
        true => Hosts::Before0_15,
        false => Hosts::All,
    };
    let strategy = (
        select(any_mode(pair.checker, pair.abi)),
        any_input(pair.checker, hosts),
    );
    let stderr = RefCell::new(pair.stderr()?);
    let found = RefCell::new(Results::default());
    for batch in 0_u64.. {
        if found.borrow().replies >= replies {
            break;
        }
        let mut entropy = [0; 32];
        for (part, word) in entropy.chunks_mut(8).zip([seed, batch, 0, 0]) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        let config = Config {
            cases: BATCH,
            failure_persistence: None,
            ..Config::default()
        };
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &entropy);
        let outcome =
            TestRunner::new_with_rng(config, random).run(&strategy, |(mode, mut input)| {
                if mode == Mode::Async {
                    // A busy machine may let a thread wait for a second.
                    input.timeout = input.timeout.max(30);
                }
                let result = pair.run_both(mode, &input, &mut stderr.borrow_mut());
                let (_, agreed) = result.map_err(TestCaseError::fail)?;
                found.borrow_mut().enter("", Ok(agreed));
                Ok(())
            });
        if let Err(error) = outcome {
            let why = match error {
                TestError::Fail(reason, case) => format!("{case:#?}\n{reason}"),
                TestError::Abort(reason) => reason.to_string(),
            };
            let checker = pair.checker.name();
            let name = format!("{checker}, random case, --checker {checker} --seed {seed}");
            found.borrow_mut().fail(&name, &why);
            break;
        }
    }
    results.add(found.into_inner());
    Ok(())
}

/// Hosts that poll take their time, and only in 0.15 is upstream run in that way as well.
fn any_mode(checker: Checker, abi: Abi) -> Vec<Mode> {
    let mut modes = modes(checker, abi).to_vec();
    if abi != Abi::V0_15 {
        modes.extend([Mode::Sync; 2]);
    }
    modes
}
