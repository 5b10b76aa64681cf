// SPDX-License-Identifier: LGPL-2.0-or-later
//! The list of scenarios: names, descriptions, and what each of them needs.
//!
//! The steps are in `guest/scenarios`.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::checker::Checker;
use super::names::display;

/// A scenario. The order of the variants is the order in which a guest runs them; `--list` prints
/// their descriptions.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// both paths answer; nothing happens
    Healthy,
    /// a checker runs on a disk that it does not support
    Foreign,
    /// one path goes offline and comes back
    Offline,
    /// one path is deleted and found again by a scan
    Delete,
    /// every command of both paths hangs, then all are answered
    Hang,
    /// the unit is stopped and started again
    Stop,
    /// device resets leave unit attentions
    Attention,
    /// some replies say RECOVERED ERROR
    Recovered,
    /// some commands end in a transport error
    Transport,
    /// some commands are aborted in flight
    Aborted,
    /// the hosts refuse some commands as busy
    Busy,
    /// some transfers are too short
    Short,
    /// the unit is taken away from both hosts and given back
    Unmapped,
    /// one path goes away and comes back again and again
    Flap,
    /// multipath -ll, with healthy and with hung paths
    List,
    /// multipathd reconfigure while every command hangs
    Reconfigure,
    /// multipathd gets SIGTERM while every command hangs
    Shutdown,
    /// reads and writes of one path hang, TEST UNIT READY does not
    Quiesce,
    /// multipath -ll while one path is quiesced
    QuiesceList,
    /// multipathd reconfigure while one path is quiesced
    QuiesceReconfigure,
    /// multipathd gets SIGTERM while one path is quiesced
    QuiesceShutdown,
}

/// The kind of disk that a scenario runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DiskKind {
    /// The kernel's simulated disk.
    ScsiDebug,
    /// The kernel's SCSI target over device-mapper.
    Lio,
}

impl Scenario {
    /// All scenarios, in order.
    pub(crate) fn all() -> &'static [Scenario] {
        Scenario::value_variants()
    }

    /// The description for `--list`.
    pub(crate) fn about(self) -> String {
        let value = self.to_possible_value();
        let help = value.as_ref().and_then(|value| value.get_help());
        help.map(ToString::to_string).unwrap_or_default()
    }

    /// True if the scenario belongs to the short form.
    pub(crate) fn in_short_form(self) -> bool {
        matches!(
            self,
            Scenario::Foreign
                | Scenario::Offline
                | Scenario::Hang
                | Scenario::Reconfigure
                | Scenario::QuiesceReconfigure
                | Scenario::QuiesceShutdown
        )
    }

    /// True if the order of path states depends on chance: the fault hits arbitrary commands, or
    /// checks in flight.
    pub(crate) fn has_random_order(self) -> bool {
        matches!(
            self,
            Scenario::Stop
                | Scenario::Recovered
                | Scenario::Transport
                | Scenario::Aborted
                | Scenario::Busy
                | Scenario::Short
                | Scenario::Unmapped
        )
    }

    /// The disk that the scenario runs on.
    pub(crate) fn disk(self) -> DiskKind {
        match self {
            Scenario::Quiesce
            | Scenario::QuiesceList
            | Scenario::QuiesceReconfigure
            | Scenario::QuiesceShutdown => DiskKind::Lio,
            _ => DiskKind::ScsiDebug,
        }
    }

    /// True if the scenario makes sense with this checker.
    pub(crate) fn suits(self, checker: Checker) -> bool {
        match (self, self.disk()) {
            (Scenario::Foreign, _) => !checker.supports_generic_disk(),
            (_, DiskKind::ScsiDebug) => checker.supports_generic_disk(),
            // LIO may reject the commands of the other checkers.
            (_, DiskKind::Lio) => matches!(
                checker,
                Checker::Tur | Checker::Directio | Checker::Readsector0
            ),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_on_the_command_line_and_in_records() {
        for scenario in Scenario::all() {
            assert_eq!(
                serde_json::to_string(scenario).unwrap(),
                format!("\"{scenario}\"")
            );
            assert!(!scenario.about().is_empty(), "{scenario}");
        }
    }

    #[test]
    fn every_checker_has_a_scenario_in_the_short_form() {
        for &checker in Checker::value_variants() {
            let all = Scenario::all();
            let mut short = all.iter().filter(|scenario| scenario.in_short_form());
            assert!(short.any(|scenario| scenario.suits(checker)), "{checker}");
        }
    }
}
