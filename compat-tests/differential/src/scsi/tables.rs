// SPDX-License-Identifier: LGPL-2.0-or-later

//! The decision tables, run with both plugins: they must agree but for the rows of the ledger, and ours
//! must do what the table says.

#![forbid(unsafe_code)]

use crate::scsi::crash::dies;
use crate::scsi::differences::EVERYWHERE;
use crate::scsi::implementation::{Mode, modes};
use crate::scsi::pair::Pair;
use crate::scsi::results::{Agreed, Results, expect};
use crate::scsi::run::{Checked, Record};
use cases::{Case, Checker, Command, Direction, Expected, Hosts, Map, Verdict};
use harness::abi::Abi;
use harness::scsi::SG_IO;
use harness::scsi::request::Sent;
use harness::side::Side;
use harness::state::State;
use std::ffi::c_long;

/// Runs every case of the pair's checker.
pub(crate) fn run_all(pair: &Pair, results: &mut Results) {
    for mode in modes(pair.checker, pair.abi) {
        for case in pair.checker.cases() {
            if case.hosts == Hosts::Before0_15 && pair.abi == Abi::V0_15 {
                continue;
            }
            let name = format!("{}, {mode:?}: {}", pair.checker.name(), case.name);
            results.enter(&name, run(pair, *mode, &case));
        }
    }
}

fn run(pair: &Pair, mode: Mode, case: &Case) -> Result<Agreed, String> {
    let mut stderr = pair.stderr()?;
    let (ours, agreed) = if case.upstream_dies {
        if !dies(|| drop(pair.run_one(Side::Upstream, mode, &case.input))) {
            return Err("upstream's plugin survived".to_owned());
        }
        let agreed = Agreed {
            rows: case.ledger.iter().copied().collect(),
            ..Agreed::default()
        };
        (pair.run_one(Side::Ours, mode, &case.input), agreed)
    } else {
        pair.run_both(mode, &case.input, &mut stderr)?
    };
    verify(pair, mode, case, &ours)?;
    let special = |row: &&str| !EVERYWHERE.contains(row);
    let found: Vec<&str> = agreed.rows.iter().copied().filter(special).collect();
    let here = |row: &&str| pair.differs_here(row);
    let expected: Vec<&str> = case.ledger.iter().copied().filter(here).collect();
    expect("rows of the ledger", found, expected)?;
    Ok(agreed)
}

/// Compares this project's record with the table.
fn verify(pair: &Pair, mode: Mode, case: &Case, record: &Record) -> Result<(), String> {
    let timeout = case.input.timeout.wrapping_mul(1000);
    verify_commands(&record.setup, &case.setup, timeout)?;
    expect("lines of the preparation", &record.lines, &case.setup.log)?;
    expect("checks", record.checks.len(), case.expected.len())?;

    let mut printed = String::new();
    let mut map = initial_map(pair, case.input.map);
    let checks = case.input.checks.iter().zip(&case.expected);
    for ((input, expected), checked) in checks.zip(&record.checks) {
        let (state, message) = told(pair.abi, expected.verdict);
        let before = match mode {
            Mode::Sync => input.message,
            Mode::Async => 0,
        };
        let message = message.unwrap_or(before);
        let found = (checked.state, checked.message);
        expect("state and message", found, (state, message))?;
        verify_commands(&checked.sent, expected, timeout)?;
        if pair.checker == Checker::CcissTur {
            let lines = expected.log.iter().map(|(_, line)| line.as_str());
            printed.extend(lines);
        } else {
            expect("lines", &checked.lines, &expected.log)?;
        }
        verify_map(pair.abi, input.map_value, expected, checked, &mut map)?;
    }
    expect("standard error", &record.printed, &printed)
}

/// The state and message that a host gets.
fn told(abi: Abi, verdict: Verdict) -> (State, Option<i16>) {
    let shown = match verdict {
        Verdict::DISCONNECTED if abi < Abi::V0_14 => Verdict::DOWN,
        _ => verdict,
    };
    (State(shown.state as i32), shown.message)
}

/// What a map holds before the first check; the outer `None` where the plugin has no access to it.
fn initial_map(pair: &Pair, map: Map) -> Option<Option<c_long>> {
    let has_value = pair.checker == Checker::EmcClariion && map == Map::Shared;
    has_value.then(|| (pair.abi < Abi::V0_15).then_some(0))
}

fn verify_map(
    abi: Abi,
    set: Option<i32>,
    expected: &Expected,
    checked: &Checked,
    map: &mut Option<Option<c_long>>,
) -> Result<(), String> {
    let Some(value) = map else {
        return Ok(());
    };
    if let Some(set) = set {
        // 0.15 has a flag.
        let set = if abi < Abi::V0_15 {
            set
        } else {
            i32::from(set != 0)
        };
        *value = Some(set.into());
    }
    *value = expected.map.map(c_long::from).or(*value);
    expect("the map's value", checked.map_value, *value)
}

fn verify_commands(sent: &[Sent], expected: &Expected, timeout: u32) -> Result<(), String> {
    expect("commands", sent.len(), expected.count)?;
    let scsi: Vec<&Sent> = sent.iter().filter(|sent| sent.request == SG_IO).collect();
    for sent in &scsi {
        expect("time limit", sent.timeout, timeout)?;
    }
    let Some(commands) = &expected.commands else {
        return Ok(());
    };
    let sent: Vec<Command> = scsi.into_iter().map(command).collect();
    expect("commands", &sent, commands)
}

fn command(sent: &Sent) -> Command {
    Command {
        cdb: sent.cdb.clone(),
        // As in <scsi/sg.h>.
        direction: match sent.direction {
            -3 => Direction::In,
            -2 => Direction::Out,
            _ => Direction::None,
        },
        length: sent.length as usize,
        out: sent.out.clone(),
    }
}
