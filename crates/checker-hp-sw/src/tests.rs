//! Every line of hp_sw's decision table.

use super::*;
use checkers_core::{MapMemory, Seconds, resolve};
use proptest::prelude::*;
use sg_io::script::{
    CancelledMeanwhile, Direction, Script, Step, any_step, descriptor_sense, fixed_sense,
};
use sg_io::{DriverStatus, HostStatus, ScsiStatus};
use std::sync::atomic::AtomicBool;

fn task() -> Task<'static, ()> {
    Task::uncancelled(3, Seconds(30), (), MapMemory::Absent)
}

/// The verdict over `steps`, all of which must have been used.
fn judge(steps: &[Step]) -> Verdict {
    let script = Script::new(steps.iter().copied());
    let verdict = run(&script, &task()).verdict;
    assert_eq!(script.sent().len(), steps.len(), "{steps:?}");
    verdict
}

fn reply(status: u8, host: u16, driver: u16, key: Option<u8>) -> Step {
    Step::reply(Reply {
        status: ScsiStatus(status),
        host_status: HostStatus(host),
        driver_status: DriverStatus(driver),
        info: 1,
        sense: key.map_or_else(Default::default, |key| fixed_sense(key, 0, 0)),
        ..Reply::GOOD
    })
}

#[test]
fn the_commands() {
    let script = Script::new([Step::GOOD; 2]);
    run(&script, &task());
    let [inquiry, tur] = &script.sent()[..] else {
        panic!("two commands expected");
    };
    assert_eq!(inquiry.cdb.as_bytes(), [0x12, 0x01, 0x80, 0x00, 0xff, 0x00]);
    assert_eq!((inquiry.direction, inquiry.length), (Direction::In, 255));
    assert_eq!(tur.cdb.as_bytes(), [0; 6]);
    assert_eq!((tur.direction, tur.length), (Direction::None, 0));
    assert_eq!([inquiry.timeout, tur.timeout], [Seconds(30); 2]);
}

#[test]
fn the_messages() {
    for (id, text) in [
        (100, c" still running"),
        (101, c" timed out"),
        (102, c" failed to initialize"),
        (103, c""),
    ] {
        assert_eq!(resolve(MessageId::from_raw(id), HpSw::MESSAGES), text);
    }
    let ids = [HpSw::RUNNING, HpSw::TIMED_OUT, HpSw::NOT_STARTED];
    assert_eq!(ids.map(MessageId::as_raw), [100, 101, 102]);
}

#[test]
fn an_inquiry_that_cannot_be_sent() {
    assert_eq!(judge(&[Step::error(libc::ENOTTY)]), Verdict::UNSUPPORTED);
    for errno in [libc::EIO, libc::EINTR, libc::ENOMEM] {
        assert_eq!(judge(&[Step::error(errno)]), Verdict::DOWN);
    }
}

#[test]
fn an_inquiry_that_succeeds_hands_over_to_test_unit_ready() {
    // The kernel's summary and the reserved bits of the status are not looked at.
    for inquiry in [
        Step::GOOD,
        reply(0x00, 0, 0, Some(5)),
        reply(0x81, 0, 0, None),
    ] {
        assert_eq!(judge(&[inquiry, Step::GOOD]), Verdict::UP);
    }
}

#[test]
fn an_inquiry_with_sense() {
    for (status, driver) in [(0x02, 0), (0x22, 0), (0x83, 0), (0x00, 0x08), (0x08, 0x28)] {
        let with = |key| reply(status, 0, driver, key);
        assert_eq!(judge(&[with(Some(1)), Step::GOOD]), Verdict::UP);
        assert_eq!(judge(&[with(Some(5))]), Verdict::UNSUPPORTED);
        for key in [0, 2, 3, 4, 6, 0xb] {
            assert_eq!(judge(&[with(Some(key))]), Verdict::DOWN);
        }
        assert_eq!(judge(&[with(None)]), Verdict::DOWN);
    }
    let descriptor = Step::sense(descriptor_sense(5, 0x24, 0));
    assert_eq!(judge(&[descriptor]), Verdict::UNSUPPORTED);
}

#[test]
fn sense_that_no_status_announces_does_not_count() {
    for (status, host, driver) in [
        (0x08, 0, 0),
        (0x18, 0, 0),
        (0x00, 7, 0),
        (0x00, 0, 6),
        (0x04, 0, 9),
    ] {
        for key in [1, 5, 6] {
            assert_eq!(
                judge(&[reply(status, host, driver, Some(key))]),
                Verdict::DOWN
            );
        }
    }
}

#[test]
fn a_test_unit_ready_that_fails_in_any_way_is_a_ghost() {
    for tur in [
        Step::error(libc::ENOTTY),
        Step::error(libc::EIO),
        Step::host(HostStatus::NO_CONNECT),
        Step::sense(fixed_sense(6, 0x29, 0)),
        Step::sense(fixed_sense(2, 0x04, 0x0b)),
        reply(0, 0, 0, None),
    ] {
        assert_eq!(judge(&[Step::GOOD, tur]), Verdict::GHOST);
    }
    // Only the kernel's summary counts.
    let unannounced = Reply {
        status: ScsiStatus::CHECK_CONDITION,
        ..Reply::GOOD
    };
    assert_eq!(judge(&[Step::GOOD, Step::reply(unannounced)]), Verdict::UP);
}

#[test]
fn a_cancelled_check_sends_nothing_more() {
    let cancel = AtomicBool::new(false);
    let transport = CancelledMeanwhile {
        script: Script::new([Step::GOOD]),
        cancel: &cancel,
    };
    let task = Task::new(3, Seconds(30), (), MapMemory::Absent, &cancel);
    run(&transport, &task);
    assert_eq!(transport.script.sent().len(), 1);
    // Now that it is cancelled from the start, the script has nothing left to answer with.
    run(&transport, &task);
}

proptest! {
    #[test]
    fn any_two_replies_give_a_verdict(steps in prop::collection::vec(any_step(), 2)) {
        let verdict = run(&Script::new(steps), &task()).verdict;
        prop_assert!([
            Verdict::UNSUPPORTED,
            Verdict::UP,
            Verdict::DOWN,
            Verdict::GHOST,
        ].contains(&verdict));
    }
}
