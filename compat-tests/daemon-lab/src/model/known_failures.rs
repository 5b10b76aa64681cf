// SPDX-License-Identifier: LGPL-2.0-or-later
//! Scenarios that upstream's plugins are known to fail. Failures of ours are never excused.

use super::checker::Checker;
use super::run_config::{Plugins, RunConfig};
use super::scenario::Scenario;
use super::suite::Suite;

struct KnownFailure {
    suites: &'static [Suite],
    checker: Checker,
    scenario: Scenario,
    reason: &'static str,
}

const KNOWN_FAILURES: &[KnownFailure] = &[
    KnownFailure {
        suites: &[Suite::Bullseye, Suite::Bookworm, Suite::Trixie],
        checker: Checker::Readsector0,
        scenario: Scenario::Quiesce,
        reason: BLOCKING_READ,
    },
    KnownFailure {
        suites: &[Suite::Bullseye],
        checker: Checker::Readsector0,
        scenario: Scenario::QuiesceReconfigure,
        reason: BLOCKING_READ,
    },
];

const BLOCKING_READ: &str = "the checker loop blocks in the read, and the path stays active";

/// Why this scenario may fail in this configuration; `None` if it may not.
pub(crate) fn reason(config: RunConfig, scenario: Scenario) -> Option<&'static str> {
    let known = KNOWN_FAILURES.iter().find(|known| {
        config.plugins == Plugins::Upstream
            && known.suites.contains(&config.suite)
            && known.checker == config.checker
            && known.scenario == scenario
    });
    known.map(|known| known.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_ours_is_excused() {
        let ours = RunConfig {
            suite: Suite::Bookworm,
            checker: Checker::Readsector0,
            plugins: Plugins::Ours,
        };
        let upstream = ours.with_upstream_plugins();
        assert!(reason(upstream, Scenario::Quiesce).is_some());
        assert!(reason(upstream, Scenario::Hang).is_none());
        assert!(reason(ours, Scenario::Quiesce).is_none());
    }
}
