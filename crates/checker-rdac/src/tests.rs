//! Every line of rdac's decision tables.

use super::*;
use checkers_core::{MapMemory, Seconds, resolve};
use proptest::prelude::*;
use sg_io::script::{
    CancelledMeanwhile, Direction, Script, Sent, Step, any_step, descriptor_sense, fixed_sense,
};
use sg_io::{DriverStatus, HostStatus, ScsiStatus};
use std::sync::atomic::AtomicBool;

fn task() -> Task<'static, ()> {
    Task::uncancelled(3, Seconds(30), (), MapMemory::Absent)
}

/// The verdict over `steps`, all of which must have been used, and the record.
fn judge_aloud(steps: &[Step]) -> (Verdict, Option<RdacLogRecord>) {
    let script = Script::new(steps.iter().copied());
    let outcome = run(&script, &task());
    assert_eq!(script.sent().len(), steps.len(), "{steps:?}");
    (outcome.verdict, outcome.record)
}

/// The verdict of a check that has nothing to log.
fn judge(steps: &[Step]) -> Verdict {
    let (verdict, record) = judge_aloud(steps);
    assert_eq!(record, None);
    verdict
}

/// A page whose bytes at these offsets have these values.
fn page(bytes: &[(usize, u8)]) -> Vec<u8> {
    let mut page = vec![0; 48];
    for (at, value) in bytes {
        page[*at] = *value;
    }
    page
}

fn good(bytes: &[(usize, u8)]) -> Step {
    Step::GOOD.with_data(&page(bytes))
}

const OWNED: &[(usize, u8)] = &[(8, 0x01)];

#[test]
fn the_command() {
    let script = Script::new([Step::GOOD]);
    run(&script, &task());
    let [sent] = &script.sent()[..] else {
        panic!("one command expected");
    };
    assert_eq!(sent.cdb.as_bytes(), [0x12, 0x01, 0xc9, 0x00, 0x30, 0x00]);
    assert_eq!((sent.direction, sent.length), (Direction::In, 48));
    assert_eq!(sent.timeout, Seconds(30));
}

#[test]
fn the_messages() {
    for (id, text) in [
        (100, c" reports path is down: lun not connected"),
        (101, c" reports path is down: ctlr is in startup sequence"),
        (102, c" reports path is down: non-responsive to queries"),
        (103, c" reports path is down: ctlr held in reset"),
        (104, c" reports path is down: ctlr firmware downloading"),
        (
            105,
            c" reports path is down: ctlr quiesced by admin request",
        ),
        (106, c" reports path is down: ctlr is in service mode"),
        (107, c" reports path is down: ctlr is unavailable"),
        (108, c" reports path is down: inquiry failed"),
        (109, c" still running"),
        (110, c" timed out"),
        (111, c" failed to initialize"),
        (112, c""),
    ] {
        assert_eq!(resolve(MessageId::from_raw(id), Rdac::MESSAGES), text);
    }
    let ids = [Rdac::RUNNING, Rdac::TIMED_OUT, Rdac::NOT_STARTED];
    assert_eq!(ids.map(MessageId::as_raw), [109, 110, 111]);
}

#[test]
fn an_inquiry_that_cannot_be_sent() {
    assert_eq!(judge(&[Step::error(libc::ENOTTY)]), Verdict::UNSUPPORTED);
    for errno in [
        libc::EBADF,
        libc::ENODEV,
        libc::ENXIO,
        libc::EIO,
        libc::ENOMEM,
        libc::EINTR,
    ] {
        assert_eq!(judge(&[Step::error(errno)]), INQUIRY_FAILED);
    }
}

#[test]
fn clear_statuses_let_the_page_speak() {
    let Ok(good) = Step::GOOD.result else { return };
    for status in [0x00, 0x01, 0x80, 0x81] {
        for info in [0, 1] {
            let reply = Reply {
                status: ScsiStatus(status),
                info,
                sense: fixed_sense(5, 0, 0),
                ..good
            };
            let step = Step::reply(reply).with_data(&page(OWNED));
            assert_eq!(judge(&[step]), Verdict::UP);
        }
    }
}

#[test]
fn a_transport_that_may_recover_is_tried_five_times() {
    for host in 1..=0x20 {
        let attempts = if [2, 7, 0xb, 0xe].contains(&host) {
            5
        } else {
            1
        };
        let step = Step::host(HostStatus(host));
        assert_eq!(judge(&vec![step; attempts]), INQUIRY_FAILED);
        if attempts == 5 {
            assert_eq!(judge(&[step, step, step, step, good(OWNED)]), Verdict::UP);
            // Not where the kernel sees no need for a look.
            let unannounced = Reply {
                host_status: HostStatus(host),
                ..Reply::GOOD
            };
            assert_eq!(judge(&[Step::reply(unannounced)]), INQUIRY_FAILED);
        }
    }
}

#[test]
fn what_an_attempt_left_in_the_page_stays() {
    let partly = Step::host(HostStatus::ERROR).with_data(&page(OWNED));
    assert_eq!(judge(&[partly, Step::GOOD]), Verdict::UP);
    let shorter = Step::GOOD.with_data(&[0; 8]);
    assert_eq!(judge(&[partly, shorter]), Verdict::UP);
    assert_eq!(judge(&[shorter]), Verdict::GHOST);
}

#[test]
fn sense_data_decides_where_a_status_announces_it() {
    let with = |status, driver, sense| {
        Step::reply(Reply {
            status: ScsiStatus(status),
            driver_status: DriverStatus(driver),
            info: 1,
            sense,
            ..Reply::GOOD
        })
        .with_data(&page(OWNED))
    };
    for (status, driver) in [(0x02, 0), (0x22, 0), (0x83, 0), (0x00, 0x08), (0x08, 0x18)] {
        for sense in [fixed_sense, descriptor_sense] {
            let judged = |key| judge_aloud(&[with(status, driver, sense(key, 0, 0))]);
            assert_eq!(judged(1), (Verdict::UP, None));
            assert_eq!(judged(5), (Verdict::UNSUPPORTED, None));
            for key in [0, 2, 3, 6, 0xb] {
                let record = RdacLogRecord::InquiryFailed(SenseKey(key));
                assert_eq!(judged(key), (INQUIRY_FAILED, Some(record)));
            }
        }
        let silent = with(status, driver, sg_io::Sense::NONE);
        assert_eq!(judge(&[silent]), INQUIRY_FAILED);
    }
    for (status, driver) in [(0x08, 0), (0x18, 0), (0x00, 0x06), (0x00, 0x07)] {
        for key in [1, 5, 6] {
            let step = with(status, driver, fixed_sense(key, 0, 0));
            assert_eq!(judge(&[step]), INQUIRY_FAILED);
        }
    }
}

#[test]
fn the_page() {
    let down = |index| Verdict::new(PathState::Down, MessageId::plugin(index));
    for (bytes, verdict) in [
        (&[][..], Verdict::GHOST),
        // Owner, I/O shipping, both, and the other bits of the byte.
        (OWNED, Verdict::UP),
        (&[(8, 0x20)], Verdict::UP),
        (&[(8, 0x21)], Verdict::UP),
        (&[(8, 0xce)], Verdict::GHOST),
        // Peripheral qualifier and type.
        (&[(0, 0x20), (8, 0x01)], down(0)),
        (&[(0, 0x60), (8, 0x01)], down(0)),
        (&[(0, 0x7f), (8, 0x01)], down(0)),
        (&[(0, 0x01), (8, 0x01)], down(0)),
        (&[(0, 0x81), (8, 0x01)], down(0)),
        (&[(0, 0x80), (8, 0x01)], Verdict::UP),
        (&[(0, 0x20), (8, 0x11), (10, 0x03), (11, 2)], down(0)),
        // Unavailable, with the vendor's reasons.
        (&[(8, 0x11), (10, 0x03), (11, 0)], down(7)),
        (&[(8, 0x11), (10, 0x03), (11, 1)], down(7)),
        (&[(8, 0x11), (10, 0x03), (11, 2)], down(2)),
        (&[(8, 0x11), (10, 0x03), (11, 3)], down(3)),
        (&[(8, 0x11), (10, 0x03), (11, 4)], down(4)),
        (&[(8, 0x11), (10, 0x03), (11, 5)], down(4)),
        (&[(8, 0x11), (10, 0x03), (11, 6)], down(5)),
        (&[(8, 0x11), (10, 0x03), (11, 7)], down(6)),
        (&[(8, 0x11), (10, 0x03), (11, 8)], down(7)),
        (&[(8, 0x11), (10, 0x03), (11, 0xff)], down(7)),
        (&[(8, 0x31), (10, 0xf3), (11, 2)], down(2)),
        // The same without target port group data.
        (&[(8, 0x01), (10, 0x03), (11, 2)], Verdict::UP),
        // In transition alone, and together with the other controller.
        (&[(8, 0x11), (10, 0x0f)], down(1)),
        (&[(8, 0x11), (10, 0x0f), (12, 0x0e)], down(1)),
        (&[(8, 0x11), (10, 0x0f), (12, 0x0f)], Verdict::UP),
        (&[(8, 0x10), (10, 0xff), (12, 0xff)], Verdict::GHOST),
        (&[(8, 0x01), (10, 0x0f)], Verdict::UP),
        // Other states, offline (0xe) among them, change nothing.
        (&[(8, 0x11), (10, 0x0e)], Verdict::UP),
        (&[(8, 0x10), (10, 0x02)], Verdict::GHOST),
    ] {
        assert_eq!(judge(&[good(bytes)]), verdict, "{bytes:02x?}");
    }
}

/// What [`prepare`] does over `steps`, all of which must have been used.
fn prepare_over(steps: &[Step]) -> (Option<RdacLogRecord>, Vec<Sent>) {
    let script = Script::new(steps.iter().copied());
    let record = prepare(&script, &task());
    assert_eq!(script.sent().len(), steps.len(), "{steps:?}");
    (record, script.sent())
}

/// Mode data with this TAS byte and something recognisable elsewhere.
fn mode_data(tas: u8) -> [u8; 20] {
    let mut data: [u8; 20] = std::array::from_fn(|at| at as u8 + 0xa0);
    data[13] = tas;
    data
}

#[test]
fn tas_is_set_where_it_is_clear_and_can_be_set() {
    let steps = [
        Step::GOOD.with_data(&mode_data(0x05)),
        Step::GOOD.with_data(&mode_data(0x40)),
        Step::GOOD,
    ];
    let (record, sent) = prepare_over(&steps);
    assert_eq!(record, None);
    let seen: Vec<_> = sent
        .iter()
        .map(|sent| (sent.cdb.as_bytes(), sent.direction, sent.length))
        .collect();
    assert_eq!(
        seen,
        [
            (
                &[0x5a, 0x08, 0x0a, 0, 0, 0, 0, 0, 0x14, 0][..],
                Direction::In,
                20
            ),
            (
                &[0x5a, 0x08, 0x4a, 0, 0, 0, 0, 0, 0x14, 0],
                Direction::In,
                20
            ),
            (&[0x55, 0x01, 0, 0, 0, 0, 0, 0, 0x14, 0], Direction::Out, 20),
        ]
    );
    assert!(sent.iter().all(|sent| sent.timeout == Seconds(30)));
    let mut selected = mode_data(0x45);
    (selected[8], selected[9]) = (0x0a, 0x0a);
    assert_eq!(sent[2].out, selected);
}

#[test]
fn tas_that_is_set_is_left_alone() {
    let (record, _) = prepare_over(&[Step::GOOD.with_data(&mode_data(0x40))]);
    assert_eq!(record, None);
}

#[test]
fn tas_that_cannot_be_set_is_reported() {
    let clear = Step::GOOD.with_data(&mode_data(0x00));
    let changeable = Step::GOOD.with_data(&mode_data(0x40));
    for steps in [
        &[Step::error(libc::ENOTTY)][..],
        &[clear, Step::error(libc::EIO)],
        &[clear, clear],
        &[clear, changeable, Step::error(libc::EIO)],
    ] {
        assert_eq!(prepare_over(steps).0, Some(RdacLogRecord::TasNotSet));
    }
}

#[test]
fn a_mode_sense_that_fails_is_not_written_back() {
    let clear = Step::GOOD.with_data(&mode_data(0x00));
    for failure in [
        Step::sense(fixed_sense(6, 0x29, 0)),
        Step::sense(fixed_sense(1, 0, 0)),
        Step::host(HostStatus::ERROR),
        Step::reply(Reply {
            driver_status: DriverStatus(6),
            ..Reply::GOOD
        }),
    ] {
        let failure = failure.with_data(&mode_data(0x40));
        for steps in [&[failure][..], &[clear, failure]] {
            assert_eq!(prepare_over(steps).0, Some(RdacLogRecord::TasNotSet));
        }
    }
}

#[test]
fn a_mode_select_that_the_array_refuses_counts_as_done() {
    let steps = [
        Step::GOOD.with_data(&mode_data(0x00)),
        Step::GOOD.with_data(&mode_data(0x40)),
        Step::sense(fixed_sense(5, 0x26, 0)),
    ];
    assert_eq!(prepare_over(&steps).0, None);
}

#[test]
fn a_cancelled_check_sends_nothing_more() {
    let cancel = AtomicBool::new(false);
    let transport = CancelledMeanwhile {
        script: Script::new([Step::host(HostStatus::ERROR)]),
        cancel: &cancel,
    };
    let task = Task::new(3, Seconds(30), (), MapMemory::Absent, &cancel);
    run(&transport, &task);
    assert_eq!(transport.script.sent().len(), 1);

    let cancel = AtomicBool::new(false);
    let transport = CancelledMeanwhile {
        script: Script::new([Step::GOOD]),
        cancel: &cancel,
    };
    let task = Task::new(3, Seconds(30), (), MapMemory::Absent, &cancel);
    assert_eq!(prepare(&transport, &task), None);
    assert_eq!(transport.script.sent().len(), 1);
}

proptest! {
    #[test]
    fn any_five_replies_give_a_verdict(steps in prop::collection::vec(any_step(), 5)) {
        let outcome = run(&Script::new(steps), &task());
        let state = outcome.verdict.state;
        prop_assert!([
            PathState::Wild,
            PathState::Up,
            PathState::Down,
            PathState::Ghost,
        ].contains(&state));
        prop_assert!(outcome.verdict.message.is_some());
        prop_assert!(outcome.record.is_none() || outcome.verdict == INQUIRY_FAILED);
    }

    /// MODE SELECT is sent only after two good MODE SENSE.
    #[test]
    fn any_three_replies_prepare_safely(steps in prop::collection::vec(any_step(), 3)) {
        let script = Script::new(steps.iter().copied());
        prepare(&script, &task());
        let clear = |step: &Step| step.result.is_ok_and(|reply| reply.is_clear(reply.status.masked()));
        prop_assert!(script.sent().len() < 3 || steps.iter().take(2).all(clear));
    }
}
