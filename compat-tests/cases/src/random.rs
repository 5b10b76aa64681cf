// SPDX-License-Identifier: LGPL-2.0-or-later

//! Random input, for the most part of the kinds that checkers tell apart.

#![forbid(unsafe_code)]

use crate::checker::Checker;
use crate::reply::{Answer, ERRNOS, Pace, Reply, SENSE_LENGTH};
use crate::table::{Check, Hosts, Input, Map};
use proptest::prelude::*;
use proptest::sample::select;

/// Any input for this checker in these hosts.
pub fn any_input(checker: Checker, hosts: Hosts) -> BoxedStrategy<Input> {
    let timeout = prop_oneof![
        4 => select(vec![1_u32, 30, 60]),
        1 => any::<u32>(),
    ];
    let preferred = prop_oneof![
        4 => select(vec![512_i64, 4096]),
        1 => select(vec![1_i64, 513, 1024, 2048, 3000, 4097, 65536, i64::from(i32::MAX), 1 << 40]),
    ];
    let fd = match checker {
        Checker::CcissTur if hosts == Hosts::Before0_15 => {
            prop_oneof![50 => Just(None), 1 => Just(Some(-1))].boxed()
        }
        _ => Just(None).boxed(),
    };
    let setup = match checker {
        Checker::Rdac => prop::collection::vec(any_answer(mode_data().boxed()), 0..=3).boxed(),
        _ => Just(Vec::new()).boxed(),
    };
    let map = select(vec![Map::None, Map::Shared]);
    let checks = prop::collection::vec(any_check(checker, hosts), 1..=3);
    (timeout, preferred, map, fd, setup, checks)
        .prop_map(|(timeout, preferred, map, fd, setup, checks)| Input {
            timeout,
            preferred,
            map,
            fd,
            setup,
            checks,
        })
        .boxed()
}

fn any_check(checker: Checker, hosts: Hosts) -> impl Strategy<Value = Check> {
    // The first command of a check fetches the page, if the checker has one.
    let data = match checker {
        Checker::Rdac => access_page().boxed(),
        Checker::EmcClariion => unit_page().boxed(),
        _ => Just(Vec::new()).boxed(),
    };
    let message = match hosts {
        // In 0.15 upstream leaves the message as it is, whose text then depends on its table.
        Hosts::All => Just(0_i16).boxed(),
        _ => prop_oneof![3 => Just(0_i16), 1 => any::<i16>()].boxed(),
    };
    let map_value = prop_oneof![
        3 => Just(None),
        2 => select(vec![Some(0), Some(1)]),
        1 => any::<Option<i32>>(),
    ];
    let answers = prop_oneof![
        // The same answer repeated exhausts the retries.
        1 => (any_answer(data.clone()), 1..=9_usize)
            .prop_map(|(answer, count)| vec![answer; count]),
        3 => prop::collection::vec(any_answer(data), 0..=9),
    ];
    (answers, message, map_value).prop_map(|(answers, message, map_value)| Check {
        answers,
        message,
        map_value,
    })
}

fn any_answer(data: BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = Answer> {
    let errno = select([&[libc::ENOTTY], &ERRNOS.map(|(_, errno)| errno)[..]].concat());
    let result = prop_oneof![
        6 => any_reply().prop_map(Ok),
        3 => Just(Ok(Reply::GOOD)),
        1 => errno.prop_map(Err),
    ];
    (result, data).prop_map(|(result, data)| Answer {
        result: result.map(|reply| Reply { data, ..reply }),
        pace: Pace::AtOnce,
    })
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let status = prop_oneof![
        3 => Just(0x00_u8),
        4 => Just(0x02),
        2 => select(vec![0x08_u8, 0x18, 0x19, 0x22, 0x28, 0x01, 0x80, 0x82, 0xa2, 0x03]),
        1 => any::<u8>(),
    ];
    let host = prop_oneof![
        4 => Just(0_u16),
        2 => select(vec![2_u16, 7, 0xb, 0xe]),
        2 => 0..=0x15_u16,
        1 => any::<u16>(),
    ];
    let driver = prop_oneof![
        4 => Just(0_u16),
        2 => select(vec![0x08_u16, 0x06, 0x18, 0x28, 0x07]),
        1 => any::<u16>(),
    ];
    // The kernel's SG_INFO_CHECK agrees with the statuses, but not always here.
    let info = prop_oneof![
        8 => Just(None),
        1 => select(vec![Some(0_u32), Some(1), Some(2)]),
        1 => any::<Option<u32>>(),
    ];
    let volume = prop_oneof![select(vec![0_u32, 1, 0x4000_0000, u32::MAX]), any::<u32>()];
    let command_status = prop_oneof![3 => Just(0_u16), 1 => any::<u16>()];
    (
        (status, host, driver, info),
        any::<i32>(),
        any_sense(),
        volume,
        command_status,
    )
        .prop_map(
            |((status, host, driver, info), residual, (sense, sense_length), volume, command)| {
                let noise = status & 0x3e != 0 || host != 0 || driver != 0;
                Reply {
                    status,
                    host,
                    driver,
                    info: info.unwrap_or(u32::from(noise)),
                    residual,
                    sense,
                    sense_length,
                    data: Vec::new(),
                    volume,
                    command_status: command,
                }
            },
        )
}

/// Sense data and the length that the kernel gives for it.
fn any_sense() -> impl Strategy<Value = ([u8; SENSE_LENGTH], u8)> {
    let code = prop_oneof![
        8 => select(vec![0x70_u8, 0x71, 0x72, 0x73, 0xf0, 0xf1]),
        1 => select(vec![0xf2_u8, 0xf3, 0x7f, 0x00]),
        1 => any::<u8>(),
    ];
    let key = prop_oneof![
        6 => select(vec![1_u8, 2, 5, 6, 6]),
        1 => any::<u8>(),
    ];
    let additional = prop_oneof![
        6 => select(vec![
            (0x04_u8, 0x0a_u8),
            (0x04, 0x0b),
            (0x04, 0x03),
            (0x25, 0x00),
            (0x25, 0x01),
            (0x29, 0x00),
        ]),
        1 => any::<(u8, u8)>(),
    ];
    let length = prop_oneof![
        4 => select(vec![18_u8, 32]),
        2 => select(vec![0_u8, 1, 2, 3, 4, 8, 13, 14, 33, 255]),
        1 => any::<u8>(),
    ];
    (code, key, additional, length, any::<[u8; SENSE_LENGTH]>()).prop_map(
        |(code, key, (asc, ascq), length, mut sense)| {
            sense[0] = code;
            if code & 0x02 == 0 {
                (sense[2], sense[12], sense[13]) = (key, asc, ascq);
            } else {
                (sense[1], sense[2], sense[3]) = (key, asc, ascq);
            }
            (sense, length)
        },
    )
}

/// Mode data around the control mode page.
fn mode_data() -> impl Strategy<Value = Vec<u8>> {
    let tas = select(vec![0x00_u8, 0x40, 0x80, 0xff]);
    (prop::collection::vec(any::<u8>(), 20), tas, 0..=20_usize).prop_map(|(mut data, tas, cut)| {
        data[13] = tas;
        data.truncate(if cut == 0 { 0 } else { 20.min(cut + 13) });
        data
    })
}

/// rdac's page C9h.
fn access_page() -> impl Strategy<Value = Vec<u8>> {
    let peripheral =
        prop_oneof![4 => Just(0_u8), 1 => select(vec![0x20_u8, 0x7f, 0x80, 0x01, 0x81])];
    let volume = prop_oneof![
        3 => select(vec![0x00_u8, 0x01, 0x10, 0x11, 0x20, 0x30, 0x31]),
        1 => any::<u8>(),
    ];
    let state = prop_oneof![
        3 => select(vec![0x00_u8, 0x02, 0x03, 0x0e, 0x0f, 0xf3, 0x1f]),
        1 => any::<u8>(),
    ];
    let other = prop_oneof![2 => select(vec![0x00_u8, 0x0f, 0xff]), 1 => any::<u8>()];
    let reason = prop_oneof![4 => 0..=9_u8, 1 => any::<u8>()];
    let length = prop_oneof![6 => Just(48_usize), 1 => 0..=60_usize];
    (
        prop::collection::vec(any::<u8>(), 60),
        (peripheral, volume, state, reason, other),
        length,
    )
        .prop_map(
            |(mut page, (peripheral, volume, state, reason, other), length)| {
                page[0] = peripheral;
                page[8] = volume;
                (page[10], page[11], page[12]) = (state, reason, other);
                page.truncate(length);
                page
            },
        )
}

/// emc_clariion's page C0h: mostly one without a fault, of one of few units.
fn unit_page() -> impl Strategy<Value = Vec<u8>> {
    let unit = prop_oneof![6 => Just(1_u8), 1 => Just(0), 1 => Just(2)];
    let role = prop_oneof![3 => Just(2_u8), 3 => Just(1), 1 => any::<u8>()];
    let place = select(vec![1_usize, 4, 9, 10, 25, 26, 27, 28, 30, 48]);
    let value = prop_oneof![
        select(vec![0_u8, 1, 2, 3, 4, 5, 6, 7, 0xc0, 0xff]),
        any::<u8>(),
    ];
    let faults = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec((place, value), 1..=2),
    ];
    let length = prop_oneof![10 => Just(128_usize), 1 => 0..=140_usize];
    let failover = select(vec![4_u8, 6, 0xfc, 0x0e]);
    (unit, role, faults, length, failover, any::<u8>()).prop_map(
        |(unit, role, faults, length, failover, rest)| {
            let mut page = vec![rest; 140];
            page[1] = 0xc0;
            page[4] = role;
            page[9] = 0;
            page[10..26].fill(unit);
            (page[27], page[28], page[30]) = (3, failover, rest | 4);
            page[48] = 0;
            for (at, value) in faults {
                page[at] = value;
            }
            page.truncate(length);
            page
        },
    )
}
