// SPDX-License-Identifier: GPL-2.0-or-later

//! cciss_tur over its decision table.

#![forbid(unsafe_code)]

use super::*;
use cases::Checker;
use checkers_core::{MapMemory, Seconds};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// A controller with one answer to each request.
struct Scripted<'a> {
    answers: RefCell<VecDeque<cases::Answer>>,
    volume: Cell<Option<u32>>,
    cancel: Option<&'a AtomicBool>,
}

impl Scripted<'_> {
    fn new(answers: &[cases::Answer]) -> Self {
        Scripted {
            answers: RefCell::new(answers.iter().cloned().collect()),
            volume: Cell::new(None),
            cancel: None,
        }
    }

    fn next(&self) -> Result<cases::Reply, Errno> {
        if let Some(cancel) = self.cancel {
            cancel.store(true, Ordering::SeqCst);
        }
        let answer = self.answers.borrow_mut().pop_front();
        answer
            .expect("one request more than answers")
            .result
            .map_err(Errno)
    }

    fn all_used(&self) -> bool {
        self.answers.borrow().is_empty()
    }
}

impl Controller for Scripted<'_> {
    fn logical_volume(&self, _: RawFd) -> Result<u32, Errno> {
        let volume = self.next()?.volume;
        self.volume.set(Some(volume));
        Ok(volume)
    }

    fn test_unit_ready(&self, _: RawFd, volume: u32) -> Result<Answer, Errno> {
        assert_eq!(self.volume.take(), Some(volume), "another volume");
        self.next().map(|reply| Answer {
            scsi_status: reply.status,
            command_status: reply.command_status,
        })
    }
}

fn task(fd: RawFd) -> Task<'static, ()> {
    Task::uncancelled(fd, Seconds(30), (), MapMemory::Absent)
}

#[test]
fn decision_table() {
    for case in Checker::CcissTur.cases() {
        let fd = case.input.fd.unwrap_or(case_runner::FD);
        for (check, expected) in case.input.checks.iter().zip(&case.expected) {
            let controller = Scripted::new(&check.answers);
            let outcome = run(&controller, &task(fd));
            assert!(controller.all_used(), "{}", case.name);
            case_runner::verify_verdict(&case.name, outcome.verdict, expected.verdict);
            let mut written = String::new();
            if let Some(record) = outcome.record {
                record.write(&mut written).unwrap();
            }
            let lines: String = expected.log.iter().map(|(_, line)| line.as_str()).collect();
            assert_eq!(written, lines, "{}", case.name);
            let last = match (
                &*check.answers,
                check.answers.last().map(|last| &last.result),
            ) {
                (_, None) => None,
                ([_], Some(Err(errno))) => Some(CcissReply::NoVolume(Errno(*errno))),
                (_, Some(Err(errno))) => Some(CcissReply::NotSent(Errno(*errno))),
                (_, Some(Ok(reply))) => Some(CcissReply::Answered(Answer {
                    scsi_status: reply.status,
                    command_status: reply.command_status,
                })),
            };
            assert_eq!(outcome.last_reply, last, "{}", case.name);
        }
    }
}

#[test]
fn messages() {
    case_runner::verify_messages::<CcissTur>(Checker::CcissTur);
}

#[test]
fn descriptor_zero_is_a_descriptor() {
    let controller = Scripted::new(&[cases::good(), cases::good()]);
    assert_eq!(run(&controller, &task(0)).verdict, Verdict::UP);
    assert!(controller.all_used());
}

#[test]
fn the_last_reply_names_the_request() {
    let answered = CcissReply::Answered(Answer {
        scsi_status: 2,
        command_status: 0x11,
    });
    assert_eq!(
        answered.to_string(),
        "TEST UNIT READY: SCSI status 02h, command status 0011h"
    );
    let no_volume = CcissReply::NoVolume(Errno(5)).to_string();
    assert!(no_volume.starts_with("CCISS_GETLUNINFO: "), "{no_volume}");
    let not_sent = CcissReply::NotSent(Errno(5)).to_string();
    assert!(not_sent.starts_with("CCISS_PASSTHRU: "), "{not_sent}");
}

#[test]
fn a_cancelled_check_asks_nothing_more() {
    let cancel = AtomicBool::new(false);
    let controller = Scripted {
        cancel: Some(&cancel),
        ..Scripted::new(&[cases::good()])
    };
    let task = Task::new(3, Seconds(30), (), MapMemory::Absent, &cancel);
    run(&controller, &task);
    assert!(controller.all_used());
    run(&controller, &task);
}

#[test]
fn any_statuses_but_zeros_are_down() {
    for status in 0..=0xff {
        for bit in 0..=16 {
            let command_status = (1_u32 << bit >> 1) as u16;
            let answer = cases::good().status(status).command_status(command_status);
            let controller = Scripted::new(&[cases::good().volume(9), answer]);
            let up = run(&controller, &task(3)).verdict == Verdict::UP;
            assert_eq!(up, status == 0 && command_status == 0);
            assert!(controller.all_used());
        }
    }
}
