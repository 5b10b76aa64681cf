//! Every line of tur's decision table.

use super::*;
use checkers_core::{MapMemory, Seconds, resolve};
use proptest::prelude::*;
use sg_io::script::{
    CancelledMeanwhile, Direction, Script, Step, any_step, descriptor_sense, fixed_sense,
};
use std::sync::atomic::AtomicBool;

fn task() -> Task<'static, ()> {
    Task::uncancelled(3, Seconds(30), (), MapMemory::Absent)
}

/// The verdict over `steps`, all of which must have been used.
fn judge(steps: &[Step]) -> Verdict {
    let script = Script::new(steps.iter().copied());
    let outcome = run(&script, &task());
    assert_eq!(script.sent().len(), steps.len(), "{steps:?}");
    let last = steps.last().map(|step| step.result);
    assert_eq!(outcome.last_reply.map(|last_reply| last_reply.result), last);
    outcome.verdict
}

/// CHECK CONDITION with the same codes in either format.
fn in_both_formats(key: u8, asc: u8, ascq: u8) -> [Step; 2] {
    [
        fixed_sense(key, asc, ascq),
        descriptor_sense(key, asc, ascq),
    ]
    .map(Step::sense)
}

#[test]
fn the_command() {
    let script = Script::new([Step::GOOD]);
    run(&script, &task());
    let [sent] = &script.sent()[..] else {
        panic!("one command expected");
    };
    assert_eq!(sent.cdb.as_bytes(), [0; 6]);
    assert_eq!((sent.direction, sent.length), (Direction::None, 0));
    assert_eq!(sent.timeout, Seconds(30));
}

#[test]
fn the_messages() {
    for (id, text) in [
        (100, c" still running"),
        (101, c" timed out"),
        (102, c" failed to initialize"),
        (103, c" reports path is transitioning"),
        (104, c""),
    ] {
        assert_eq!(resolve(MessageId::from_raw(id), Tur::MESSAGES), text);
    }
    assert_eq!(Tur::RUNNING.as_raw(), 100);
    assert_eq!(Tur::TIMED_OUT.as_raw(), 101);
    assert_eq!(Tur::NOT_STARTED.as_raw(), 102);
    assert_eq!(TRANSITIONING.message.map(MessageId::as_raw), Some(103));
}

#[test]
fn a_command_that_cannot_be_sent_is_not_sent_again() {
    assert_eq!(judge(&[Step::error(libc::ENOTTY)]), Verdict::UNSUPPORTED);
    for errno in [
        libc::EINTR,
        libc::EIO,
        libc::ENOMEM,
        libc::EBADF,
        libc::ENODEV,
    ] {
        assert_eq!(judge(&[Step::error(errno)]), Verdict::DOWN);
    }
}

#[test]
fn a_reservation_conflict_is_up_whatever_else_is_said() {
    for status in [0x18, 0x19, 0x98, 0x99] {
        for noise in in_both_formats(6, 0x29, 0) {
            let Ok(reply) = noise.result else { continue };
            let reply = Reply {
                status: ScsiStatus(status),
                host_status: HostStatus::ERROR,
                ..reply
            };
            assert_eq!(judge(&[Step::reply(reply)]), Verdict::UP);
        }
    }
}

#[test]
fn what_the_kernel_does_not_complain_about_is_up() {
    assert_eq!(judge(&[Step::GOOD]), Verdict::UP);
    for noise in in_both_formats(5, 0x25, 0) {
        let Ok(reply) = noise.result else { continue };
        for info in [0, 2, 4] {
            let reply = Reply {
                host_status: HostStatus::ERROR,
                info,
                ..reply
            };
            assert_eq!(judge(&[Step::reply(reply)]), Verdict::UP);
        }
    }
}

#[test]
fn an_unsettled_host_status_is_tried_five_times() {
    let [sense, _] = in_both_formats(2, 0x04, 0x0b);
    let Ok(standby) = sense.result else {
        panic!("a reply")
    };
    for host in 0..=0x20 {
        let attempts = match host {
            0 | 1 | 4 | 5 | 0xf => 1,
            _ => 5,
        };
        let silent = Step::host(HostStatus(host));
        assert_eq!(judge(&vec![silent; attempts]), Verdict::DOWN);
        // The sense data of the last attempt counts.
        let reply = Reply {
            host_status: HostStatus(host),
            ..standby
        };
        assert_eq!(judge(&vec![Step::reply(reply); attempts]), Verdict::GHOST);
        if attempts > 1 {
            assert_eq!(judge(&[silent, silent, Step::GOOD]), Verdict::UP);
        }
    }
}

#[test]
fn a_unit_attention_is_tried_five_times() {
    for attention in in_both_formats(6, 0x29, 0x00) {
        assert_eq!(judge(&[attention; 5]), Verdict::DOWN);
        assert_eq!(judge(&[attention, Step::GOOD]), Verdict::UP);
        let [gone, _] = in_both_formats(5, 0x25, 0);
        assert_eq!(judge(&[attention, gone]), Verdict::DISCONNECTED);
    }
}

#[test]
fn both_reasons_for_a_retry_share_one_budget() {
    let host = Step::host(HostStatus::SOFT_ERROR);
    let [attention, _] = in_both_formats(6, 0x29, 0);
    assert_eq!(
        judge(&[host, attention, host, attention, host]),
        Verdict::DOWN
    );
    assert_eq!(
        judge(&[host, attention, host, attention, Step::GOOD]),
        Verdict::UP
    );
}

#[test]
fn a_reply_with_both_reasons_does_not_overrun_the_budget() {
    let [attention, _] = in_both_formats(6, 0x29, 0);
    let Ok(reply) = attention.result else {
        panic!("a reply")
    };
    let both = Step::reply(Reply {
        host_status: HostStatus::ERROR,
        ..reply
    });
    assert_eq!(judge(&[both; 5]), Verdict::DOWN);
}

#[test]
fn the_sense_codes() {
    for (key, asc, ascq, verdict) in [
        (2, 0x04, 0x0b, Verdict::GHOST),
        (2, 0x04, 0x0a, TRANSITIONING),
        (2, 0x04, 0x03, Verdict::DOWN),
        (2, 0x04, 0x0c, Verdict::DOWN),
        (2, 0x3a, 0x0b, Verdict::DOWN),
        (5, 0x25, 0x00, Verdict::DISCONNECTED),
        (5, 0x25, 0x01, Verdict::DOWN),
        (5, 0x20, 0x00, Verdict::DOWN),
        (5, 0x04, 0x0b, Verdict::DOWN),
        (0, 0x04, 0x0a, Verdict::DOWN),
        (1, 0x25, 0x00, Verdict::DOWN),
        (3, 0x11, 0x00, Verdict::DOWN),
        (0xb, 0x04, 0x0a, Verdict::DOWN),
    ] {
        for step in in_both_formats(key, asc, ascq) {
            assert_eq!(judge(&[step]), verdict, "{key:x}/{asc:02x}/{ascq:02x}");
        }
    }
}

#[test]
fn sense_data_that_is_too_short_says_nothing() {
    use sg_io::Sense;
    let mut fixed = [0; 32];
    fixed[..14].copy_from_slice(&[0x70, 0, 2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x04, 0x0b]);
    let mut descriptor = [0; 32];
    descriptor[..4].copy_from_slice(&[0x72, 2, 0x04, 0x0b]);
    for (bytes, written, verdict) in [
        (fixed, 14, Verdict::GHOST),
        (fixed, 13, Verdict::DOWN),
        (fixed, 0, Verdict::DOWN),
        (fixed, 255, Verdict::GHOST),
        (descriptor, 4, Verdict::GHOST),
        (descriptor, 3, Verdict::DOWN),
    ] {
        assert_eq!(judge(&[Step::sense(Sense::new(bytes, written))]), verdict);
    }
}

#[test]
fn a_cancelled_check_sends_nothing_more() {
    let cancel = AtomicBool::new(true);
    let script = Script::new([]);
    let task = Task::new(3, Seconds(30), (), MapMemory::Absent, &cancel);
    run(&script, &task);

    let cancel = AtomicBool::new(false);
    let transport = CancelledMeanwhile {
        script: Script::new([Step::host(HostStatus::ERROR)]),
        cancel: &cancel,
    };
    let task = Task::new(3, Seconds(30), (), MapMemory::Absent, &cancel);
    run(&transport, &task);
    assert_eq!(transport.script.sent().len(), 1);
}

proptest! {
    #[test]
    fn any_five_replies_give_a_verdict(steps in prop::collection::vec(any_step(), 5)) {
        let script = Script::new(steps);
        let verdict = run(&script, &task()).verdict;
        prop_assert!([
            Verdict::UNSUPPORTED,
            Verdict::UP,
            Verdict::DOWN,
            Verdict::GHOST,
            Verdict::DISCONNECTED,
            TRANSITIONING,
        ].contains(&verdict));
    }
}
