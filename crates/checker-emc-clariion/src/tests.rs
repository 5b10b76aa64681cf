//! Every line of emc_clariion's decision table.

use super::*;
use checkers_core::{Seconds, resolve};
use proptest::prelude::*;
use sg_io::script::{
    CancelledMeanwhile, Direction, Script, Step, any_step, descriptor_sense, fixed_sense,
};
use sg_io::{DriverStatus, HostStatus, ScsiStatus};
use std::sync::atomic::AtomicBool;

/// What a path knew before a check or knows after it.
type Known = (Option<Wwn>, MapMemory);
const NOTHING: Known = (None, MapMemory::Set(0));

const WWN: Wwn = Wwn([
    0x60, 0x06, 0x01, 0x60, 0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa0,
]);
const WWN_TEXT: &str = "60060160ff00010203040506070809a0";

/// A check over `steps`, all of which must be used.
fn check_over(known: Known, steps: &[Step]) -> (Finding, Known) {
    let (memory, map) = known;
    let script = Script::new(steps.iter().copied());
    let mut task = Task::uncancelled(3, Seconds(30), memory, map);
    let outcome = run(&script, &mut task);
    assert_eq!(script.sent().len(), steps.len(), "{steps:?}");
    ((outcome.verdict, outcome.record), (task.memory, task.map()))
}

/// The verdict of a check that has nothing to log and changes nothing it knew.
fn judge(steps: &[Step]) -> Verdict {
    let ((verdict, record), known) = check_over(NOTHING, steps);
    assert_eq!((record, known), (None, NOTHING));
    verdict
}

/// The page of a passive path without a fault, changed at these offsets.
fn page(bytes: &[(usize, u8)]) -> Vec<u8> {
    let mut page = vec![0; 128];
    page[1] = 0xc0;
    page[4] = 1;
    page[10..26].copy_from_slice(&WWN.0);
    (page[27], page[28], page[30]) = (0x03, 0x04, 0x04);
    for (at, value) in bytes {
        page[*at] = *value;
    }
    page
}

fn good(bytes: &[(usize, u8)]) -> Step {
    Step::GOOD.with_data(&page(bytes))
}

const ACTIVE: &[(usize, u8)] = &[(4, 2)];

fn reply(status: u8, host: u16, driver: u16, info: u32) -> Reply {
    Reply {
        status: ScsiStatus(status),
        host_status: HostStatus(host),
        driver_status: DriverStatus(driver),
        info,
        ..Reply::GOOD
    }
}

#[test]
fn the_commands() {
    let script = Script::new([good(ACTIVE), Step::GOOD]).preferring(Ok(4096));
    let mut task = Task::uncancelled(3, Seconds(30), None, MapMemory::Absent);
    run(&script, &mut task);
    let [inquiry, read] = &script.sent()[..] else {
        panic!("two commands expected");
    };
    assert_eq!(inquiry.cdb.as_bytes(), [0x12, 0x01, 0xc0, 0x00, 0x80, 0x00]);
    assert_eq!((inquiry.direction, inquiry.length), (Direction::In, 128));
    assert_eq!(read.cdb.as_bytes(), [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!((read.direction, read.length), (Direction::In, 4096));
    assert_eq!([inquiry.timeout, read.timeout], [Seconds(30); 2]);
}

#[test]
fn the_messages() {
    for (id, text) in [
        (100, c": sending query command failed"),
        (101, c": query command indicates error"),
        (102, c": Path not correctly configured for failover"),
        (103, c": Path unit report page in unknown format"),
        (104, c": Path not available for normal operations"),
        (105, c": Logical Unit is unbound or LUNZ"),
        (106, c": Logical Unit WWN has changed"),
        (107, c": Read error"),
        (108, c": Active path is healthy"),
        (109, c" still running"),
        (110, c" timed out"),
        (111, c" failed to initialize"),
        (112, c""),
    ] {
        assert_eq!(
            resolve(MessageId::from_raw(id), EmcClariion::MESSAGES),
            text
        );
    }
    let ids = [
        EmcClariion::RUNNING,
        EmcClariion::TIMED_OUT,
        EmcClariion::NOT_STARTED,
    ];
    assert_eq!(ids.map(MessageId::as_raw), [109, 110, 111]);
}

#[test]
fn an_inquiry_that_cannot_be_sent() {
    assert_eq!(judge(&[Step::error(libc::ENOTTY)]), Verdict::UNSUPPORTED);
    for errno in [libc::EBADF, libc::EIO, libc::ENOMEM, libc::EINTR] {
        assert_eq!(judge(&[Step::error(errno)]), QUERY_FAILED);
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
        let (finding, _) = check_over(NOTHING, &vec![step; attempts]);
        let record = EmcLogRecord::FailedWithoutSense(ScsiStatus::GOOD);
        assert_eq!(finding, (QUERY_ERROR, Some(record)));
        if attempts == 5 {
            let steps = [step, step, step, step, good(&[])];
            assert_eq!(check_over(NOTHING, &steps).0, (HEALTHY, None));
        }
    }
}

#[test]
fn what_an_attempt_left_in_the_page_is_wiped() {
    let partly = Step::host(HostStatus::ERROR).with_data(&page(&[]));
    assert_eq!(judge(&[partly, Step::GOOD]), UNKNOWN_FORMAT);
}

const UNKNOWN_FORMAT: Verdict = down(3);
const MISCONFIGURED: Verdict = down(2);

#[test]
fn sense_data_decides_where_the_raw_status_announces_it() {
    for (status, driver) in [(0x02, 0), (0x22, 0), (0x00, 0x08), (0x08, 0x28)] {
        for sense in [fixed_sense, descriptor_sense] {
            let judged = |key| {
                let reply = Reply {
                    sense: sense(key, 0, 0),
                    ..reply(status, 0, driver, 1)
                };
                let step = Step::reply(reply).with_data(&page(&[]));
                check_over(NOTHING, &[step]).0
            };
            assert_eq!(judged(5), (Verdict::UNSUPPORTED, None));
            for key in [0, 2, 3, 6, 0xb] {
                let record = EmcLogRecord::FailedWithSense(SenseKey(key));
                assert_eq!(judged(key), (QUERY_ERROR, Some(record)));
            }
            // A recovered error is caught by the kernel's summary.
            let record = EmcLogRecord::FailedWithoutSense(ScsiStatus(status));
            assert_eq!(judged(1), (QUERY_ERROR, Some(record)));
        }
        let record = EmcLogRecord::FailedWithoutSense(ScsiStatus(status));
        let silent = Step::reply(reply(status, 0, driver, 1));
        assert_eq!(
            check_over(NOTHING, &[silent]).0,
            (QUERY_ERROR, Some(record))
        );
    }
    // Reserved bits hide the status, and with it the sense data.
    for status in [0x03, 0x82, 0xa2, 0x08, 0x18] {
        let reply = Reply {
            sense: fixed_sense(5, 0, 0),
            ..reply(status, 0, 0, 1)
        };
        let record = EmcLogRecord::FailedWithoutSense(ScsiStatus(status));
        let (finding, _) = check_over(NOTHING, &[Step::reply(reply)]);
        assert_eq!(finding, (QUERY_ERROR, Some(record)));
    }
}

#[test]
fn without_the_kernels_summary_the_page_speaks() {
    for (status, driver, key) in [(0x02, 0, 1), (0x00, 0x08, 1), (0x08, 0, 5), (0x00, 6, 5)] {
        let reply = Reply {
            sense: fixed_sense(key, 0, 0),
            ..reply(status, 7, driver, 0)
        };
        let step = Step::reply(reply).with_data(&page(&[]));
        assert_eq!(check_over(NOTHING, &[step]).0, (HEALTHY, None));
    }
}

#[test]
fn the_page() {
    let shaky = Verdict::new(PathState::Shaky, MessageId::plugin(4));
    for (bytes, verdict) in [
        (&[(1, 0xc1)][..], UNKNOWN_FORMAT),
        (&[(1, 0x00)], UNKNOWN_FORMAT),
        (&[(9, 0x01)], UNKNOWN_FORMAT),
        (&[(9, 0x01), (27, 0), (48, 1), (4, 0)], UNKNOWN_FORMAT),
        (&[(27, 0x02)], MISCONFIGURED),
        (&[(27, 0x83)], MISCONFIGURED),
        (&[(28, 0x00)], MISCONFIGURED),
        (&[(28, 0x05)], MISCONFIGURED),
        (&[(28, 0x07)], MISCONFIGURED),
        (&[(28, 0x02)], MISCONFIGURED),
        (&[(30, 0xfb)], MISCONFIGURED),
        (&[(30, 0x00), (48, 1), (4, 0)], MISCONFIGURED),
        (&[(48, 0x01)], shaky),
        (&[(48, 0xff), (4, 0)], shaky),
        (&[(4, 0)], down(5)),
    ] {
        assert_eq!(judge(&[good(bytes)]), verdict, "{bytes:02x?}");
    }
    for bytes in [
        &[][..],
        &[(28, 0xfc)],
        &[(28, 0x06)],
        &[(30, 0xff)],
        &[(4, 3)],
        &[(4, 0xff)],
        &[(0, 0xff), (2, 0xff), (47, 0xff), (49, 0xff)],
    ] {
        let (finding, known) = check_over(NOTHING, &[good(bytes)]);
        assert_eq!(finding, (HEALTHY, None), "{bytes:02x?}");
        assert_eq!(known, (Some(WWN), MapMemory::Set(0)));
    }
}

#[test]
fn a_unit_must_keep_its_name() {
    let known = (Some(WWN), MapMemory::Set(0));
    assert_eq!(check_over(known, &[good(&[])]), ((HEALTHY, None), known));
    for at in [10, 25] {
        assert_eq!(
            check_over(known, &[good(&[(at, 0x77)])]),
            ((WWN_CHANGED, None), known)
        );
    }
    // The bytes around it do not matter.
    let around = good(&[(26, 0x77)]);
    assert_eq!(check_over(known, &[around]), ((HEALTHY, None), known));
    // A name is remembered from a page that passes, whatever the read says, and from no other.
    let (_, after) = check_over(NOTHING, &[good(ACTIVE), Step::error(libc::EIO)]);
    assert_eq!(after.0, Some(WWN));
    let (_, after) = check_over(NOTHING, &[good(&[(48, 1)])]);
    assert_eq!(after.0, None);
    // All zeros are a name, too.
    let nameless = Step::GOOD.with_data(&{
        let mut page = page(&[]);
        page[10..26].fill(0);
        page
    });
    let zeros = Some(Wwn([0; 16]));
    let (_, after) = check_over(NOTHING, &[nameless]);
    assert_eq!(after.0, zeros);
    let ((verdict, _), _) = check_over((zeros, MapMemory::Absent), &[good(&[])]);
    assert_eq!(verdict, WWN_CHANGED);
}

#[test]
fn an_active_path_must_read() {
    let inquiry = good(ACTIVE);
    let refused = Step::sense(fixed_sense(5, 0x25, 1));
    let snapshot = (INACTIVE_SNAPSHOT, Some(EmcLogRecord::ActiveToSnapshot(WWN)));
    let failed = |key, asc, ascq| {
        let code = SenseCode::new(key, asc, ascq);
        (READ_ERROR, Some(EmcLogRecord::ReadError(WWN, code)))
    };
    let healthy = (HEALTHY, None);
    for (read, finding, flag) in [
        (&[Step::GOOD][..], healthy, Some(false)),
        (&[Step::error(libc::ENOMEM)], healthy, Some(false)),
        (&[refused], snapshot, Some(true)),
        (
            &[Step::sense(fixed_sense(5, 0x25, 0))],
            failed(5, 0x25, 0),
            None,
        ),
        (
            &[Step::sense(fixed_sense(2, 0x04, 3))],
            failed(2, 0x04, 3),
            None,
        ),
        (
            &[Step::sense(fixed_sense(6, 0x29, 0)); 3],
            failed(6, 0x29, 0),
            None,
        ),
        (
            &[Step::sense(fixed_sense(6, 0x29, 0)), refused],
            snapshot,
            Some(true),
        ),
        // Descriptor format is not understood: bytes 2, 12 and 13 are what counts.
        (
            &[Step::sense(descriptor_sense(5, 0x25, 1))],
            failed(5, 0, 0),
            None,
        ),
        (&[Step::error(libc::EIO)], failed(0, 0, 0), None),
        (&[Step::error(libc::ENOTTY)], failed(0, 0, 0), None),
        (&[Step::host(HostStatus::ERROR)], failed(0, 0, 0), None),
    ] {
        let steps: Vec<_> = [inquiry].iter().chain(read).copied().collect();
        for before in [
            MapMemory::Absent,
            MapMemory::Unset,
            MapMemory::Set(0),
            MapMemory::Set(1),
        ] {
            let after = match (before, flag) {
                (MapMemory::Absent, _) | (_, None) => before,
                (_, Some(snapshot)) => MapMemory::Set(i32::from(snapshot)),
            };
            assert_eq!(
                check_over((None, before), &steps),
                (finding, (Some(WWN), after)),
                "{read:?} with {before:?}"
            );
        }
    }
}

#[test]
fn the_reads_sense_is_taken_for_fixed_format() {
    let mut bytes = [0; 32];
    (bytes[0], bytes[2]) = (0x72, 0xf5);
    (bytes[12], bytes[13]) = (0x25, 0x01);
    for written in [0, 3, 18] {
        let sense = sg_io::Sense::new(bytes, written);
        let (finding, _) = check_over(NOTHING, &[good(ACTIVE), Step::sense(sense)]);
        assert_eq!(finding.0, INACTIVE_SNAPSHOT);
    }
}

#[test]
fn a_passive_path_is_as_good_as_its_unit() {
    let snapshot = (
        INACTIVE_SNAPSHOT,
        Some(EmcLogRecord::PassiveToSnapshot(WWN)),
    );
    for (map, finding) in [
        (MapMemory::Absent, (HEALTHY, None)),
        (MapMemory::Unset, (HEALTHY, None)),
        (MapMemory::Set(0), (HEALTHY, None)),
        (MapMemory::Set(1), snapshot),
        (MapMemory::Set(-7), snapshot),
    ] {
        assert_eq!(
            check_over((None, map), &[good(&[])]),
            (finding, (Some(WWN), map))
        );
    }
    assert_eq!(INACTIVE_SNAPSHOT.message, None);
}

#[test]
fn a_name_shows_as_hexadecimal_digits() {
    assert_eq!(WWN.to_string(), WWN_TEXT);
}

#[test]
fn a_cancelled_check_sends_nothing_more() {
    for first in [Step::host(HostStatus::ERROR), good(ACTIVE)] {
        let cancel = AtomicBool::new(false);
        let transport = CancelledMeanwhile {
            script: Script::new([first]),
            cancel: &cancel,
        };
        let mut task = Task::new(3, Seconds(30), None, MapMemory::Absent, &cancel);
        run(&transport, &mut task);
        assert_eq!(transport.script.sent().len(), 1);
    }
}

proptest! {
    #[test]
    fn any_replies_give_a_verdict(
        steps in prop::collection::vec(any_step(), 8),
        bytes in prop::collection::vec((prop::sample::select(vec![1_usize, 4, 9, 27, 28, 30, 48]), 0..7_u8), 0..3),
        flag: Option<i32>,
        known: bool,
    ) {
        let map = flag.map_or(MapMemory::Absent, MapMemory::Set);
        let steps = steps
            .into_iter()
            .map(|step| if step.length == 0 { step.with_data(&page(&bytes)) } else { step })
            .chain([Step::error(libc::EIO)]);
        let mut task = Task::uncancelled(3, Seconds(30), known.then_some(WWN), map);
        let outcome = run(&Script::new(steps), &mut task);
        let state = outcome.verdict.state;
        prop_assert!([
            PathState::Wild,
            PathState::Down,
            PathState::Shaky,
            PathState::Up,
        ].contains(&state));
        prop_assert_eq!(
            outcome.verdict.message.is_none(),
            matches!(
                outcome.record,
                Some(EmcLogRecord::ActiveToSnapshot(_) | EmcLogRecord::PassiveToSnapshot(_))
            )
        );
    }
}
