//! Every line of cciss_tur's decision table.

use super::*;
use checkers_core::{MapMemory, Seconds, resolve};
use proptest::prelude::*;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// A controller with one answer to each request, and what it was asked.
struct Scripted<'a> {
    volume: Result<u32, Errno>,
    answer: Result<Answer, Errno>,
    asked: RefCell<Vec<Asked>>,
    cancel: Option<&'a AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Volume,
    Tur(u32),
}

impl Scripted<'_> {
    fn new(volume: Result<u32, Errno>, answer: Result<Answer, Errno>) -> Self {
        Scripted {
            volume,
            answer,
            asked: RefCell::default(),
            cancel: None,
        }
    }

    fn ask(&self, asked: Asked) {
        self.asked.borrow_mut().push(asked);
        if let Some(cancel) = self.cancel {
            cancel.store(true, Ordering::SeqCst);
        }
    }
}

impl Controller for Scripted<'_> {
    fn logical_volume(&self, _: RawFd) -> Result<u32, Errno> {
        self.ask(Asked::Volume);
        self.volume
    }

    fn test_unit_ready(&self, _: RawFd, volume: u32) -> Result<Answer, Errno> {
        self.ask(Asked::Tur(volume));
        self.answer
    }
}

fn task(fd: RawFd) -> Task<'static, ()> {
    Task::uncancelled(fd, Seconds(30), (), MapMemory::Absent)
}

const fn answer(scsi_status: u8, command_status: u16) -> Answer {
    Answer {
        scsi_status,
        command_status,
    }
}

#[test]
fn the_messages() {
    for (id, text) in [
        (100, c" still running"),
        (101, c" timed out"),
        (102, c" failed to initialize"),
        (103, c""),
    ] {
        assert_eq!(resolve(MessageId::from_raw(id), CcissTur::MESSAGES), text);
    }
    let ids = [
        CcissTur::RUNNING,
        CcissTur::TIMED_OUT,
        CcissTur::NOT_STARTED,
    ];
    assert_eq!(ids.map(MessageId::as_raw), [100, 101, 102]);
}

#[test]
fn without_a_descriptor_nothing_is_asked() {
    let controller = Scripted::new(Ok(0), Ok(answer(0, 0)));
    let verdict = run(&controller, &task(-1)).verdict;
    assert_eq!(verdict.state, PathState::Wild);
    assert_eq!(verdict.message, Some(MessageId::NO_FD));
    assert!(controller.asked.borrow().is_empty());
}

#[test]
fn a_volume_without_a_number_is_down() {
    // ENOTTY is no exception: the checker has no verdict for a device of another kind.
    for errno in [libc::ENOTTY, libc::EIO] {
        let errno = Errno(errno);
        let controller = Scripted::new(Err(errno), Ok(answer(0, 0)));
        let outcome = run(&controller, &task(3));
        assert_eq!(outcome.verdict, Verdict::DOWN);
        assert_eq!(outcome.record, Some(CcissLogRecord::NoVolume(errno)));
        assert_eq!(outcome.last_reply, Some(CcissReply::NoVolume(errno)));
        assert_eq!(controller.asked.take(), [Asked::Volume]);
    }
}

#[test]
fn a_command_that_is_not_taken_is_down() {
    let errno = Errno(libc::EIO);
    let controller = Scripted::new(Ok(7), Err(errno));
    let outcome = run(&controller, &task(3));
    assert_eq!(outcome.verdict, Verdict::DOWN);
    assert_eq!(outcome.record, Some(CcissLogRecord::NotSent(errno)));
    assert_eq!(outcome.last_reply, Some(CcissReply::NotSent(errno)));
    assert_eq!(controller.asked.take(), [Asked::Volume, Asked::Tur(7)]);
}

#[test]
fn both_statuses_must_be_zero() {
    for (answer, verdict) in [
        (answer(0, 0), Verdict::UP),
        (answer(2, 0), Verdict::DOWN),
        (answer(0, 1), Verdict::DOWN),
        (answer(0, 0x100), Verdict::DOWN),
        (answer(0x80, 0x8000), Verdict::DOWN),
    ] {
        let controller = Scripted::new(Ok(0x4000_0001), Ok(answer));
        let outcome = run(&controller, &task(0));
        assert_eq!((outcome.verdict, outcome.record), (verdict, None));
        assert_eq!(outcome.last_reply, Some(CcissReply::Answered(answer)));
    }
}

#[test]
fn the_lines() {
    for (record, lines) in [
        (
            CcissLogRecord::NoVolume(Errno(libc::ENOTTY)),
            "Error: : Inappropriate ioctl for device\n\
             cciss TUR  failed in CCISS_GETLUNINFO: Inappropriate ioctl for device\n",
        ),
        (
            CcissLogRecord::NotSent(Errno(libc::EIO)),
            "cciss TUR  failed: Input/output error\n",
        ),
    ] {
        let mut written = String::new();
        record.write(&mut written).unwrap();
        assert_eq!(written, lines);
    }
}

#[test]
fn a_cancelled_check_asks_nothing_more() {
    let cancel = AtomicBool::new(false);
    let controller = Scripted {
        cancel: Some(&cancel),
        ..Scripted::new(Ok(0), Ok(answer(0, 0)))
    };
    let task = Task::new(3, Seconds(30), (), MapMemory::Absent, &cancel);
    run(&controller, &task);
    run(&controller, &task);
    assert_eq!(controller.asked.take(), [Asked::Volume]);
}

proptest! {
    #[test]
    fn any_answer_gives_a_verdict(volume: u32, scsi_status: u8, command_status: u16) {
        let controller = Scripted::new(Ok(volume), Ok(answer(scsi_status, command_status)));
        let up = run(&controller, &task(3)).verdict == Verdict::UP;
        prop_assert_eq!(up, scsi_status == 0 && command_status == 0);
        prop_assert_eq!(controller.asked.take(), [Asked::Volume, Asked::Tur(volume)]);
    }
}
