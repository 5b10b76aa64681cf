//! readsector0's two verdicts. The table of the read itself is tested with `sg_read`.

use super::*;
use checkers_core::{MapMemory, Seconds, resolve};
use proptest::prelude::*;
use sg_io::script::{CancelledMeanwhile, Script, Step, any_step, fixed_sense};
use sg_io::{Cdb, Errno, HostStatus};
use std::sync::atomic::AtomicBool;

fn task() -> Task<'static, ()> {
    Task::uncancelled(3, Seconds(30), (), MapMemory::Absent)
}

fn judge(steps: &[Step]) -> Verdict {
    let script = Script::new(steps.iter().copied());
    let verdict = run(&script, &task()).verdict;
    assert_eq!(script.sent().len(), steps.len(), "{steps:?}");
    verdict
}

#[test]
fn the_messages() {
    for (id, text) in [
        (100, c" still running"),
        (101, c" timed out"),
        (102, c" failed to initialize"),
        (103, c""),
    ] {
        assert_eq!(
            resolve(MessageId::from_raw(id), Readsector0::MESSAGES),
            text
        );
    }
    let ids = [
        Readsector0::RUNNING,
        Readsector0::TIMED_OUT,
        Readsector0::NOT_STARTED,
    ];
    assert_eq!(ids.map(MessageId::as_raw), [100, 101, 102]);
}

#[test]
fn up_or_down() {
    let attention = Step::sense(fixed_sense(6, 0x29, 0));
    for (steps, verdict) in [
        (vec![Step::GOOD], Verdict::UP),
        (vec![Step::error(libc::ENOMEM)], Verdict::UP),
        // A device that knows no SG_IO is down here, not unsupported.
        (vec![Step::error(libc::ENOTTY)], Verdict::DOWN),
        (vec![Step::error(libc::EIO)], Verdict::DOWN),
        (vec![Step::error(libc::EINTR), Step::GOOD], Verdict::UP),
        (vec![attention, attention, Step::GOOD], Verdict::UP),
        (vec![attention; 3], Verdict::DOWN),
        (vec![Step::sense(fixed_sense(5, 0x25, 0))], Verdict::DOWN),
        (vec![Step::host(HostStatus::ERROR)], Verdict::DOWN),
    ] {
        assert_eq!(judge(&steps), verdict, "{steps:?}");
    }
}

#[test]
fn what_was_seen_is_kept_for_people() {
    let script = Script::new([Step::sense(fixed_sense(2, 0x3a, 0))]);
    let last_reply = run(&script, &task()).last_reply.unwrap();
    assert_eq!(last_reply.cdb, Cdb::Ten([0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0]));
    assert_eq!(
        last_reply.to_string(),
        "READ(10): CHECK CONDITION, DRIVER_SENSE, Not Ready: Medium not present (02/3a/00)"
    );
    // A node that cannot be asked is down without a command.
    let script = Script::new([]).preferring(Err(Errno(libc::EBADF)));
    let outcome = run(&script, &task());
    assert_eq!((outcome.verdict, outcome.last_reply), (Verdict::DOWN, None));
}

#[test]
fn a_cancelled_check_sends_nothing_more() {
    let cancel = AtomicBool::new(false);
    let transport = CancelledMeanwhile {
        script: Script::new([Step::sense(fixed_sense(6, 0x29, 0))]),
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
    fn any_replies_give_a_verdict(steps in prop::collection::vec(any_step(), 8)) {
        let script = Script::new(steps.into_iter().chain([Step::error(libc::EIO)]));
        let verdict = run(&script, &task()).verdict;
        prop_assert!([Verdict::UP, Verdict::DOWN].contains(&verdict));
    }
}
