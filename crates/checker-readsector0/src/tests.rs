//! readsector0's decision table, and what holds for any reply.

use super::*;
use cases::{Checker, sense};
use checkers_core::{MapMemory, Seconds, Task, check_over};
use proptest::prelude::*;
use sg_io::script::{Script, Step, any_step, fixed_sense};
use sg_io::{Cdb, Errno};

fn task() -> Task<'static, ()> {
    Task::uncancelled(3, Seconds(30), (), MapMemory::Absent)
}

#[test]
fn decision_table() {
    case_runner::run::<Readsector0>(Checker::Readsector0);
}

#[test]
fn messages() {
    case_runner::verify_messages::<Readsector0>(Checker::Readsector0);
}

#[test]
fn the_last_reply_is_kept() {
    let script = Script::new([Step::sense(fixed_sense(2, 0x3a, 0))]);
    let last_reply = check_over::<Readsector0>(&script, &mut task())
        .last_reply
        .unwrap();
    assert_eq!(last_reply.cdb, Cdb::Ten([0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0]));
    assert_eq!(
        last_reply.to_string(),
        "READ(10): CHECK CONDITION, DRIVER_SENSE, Not Ready: Medium not present (02/3a/00)"
    );
    // A node whose preferred size cannot be read is down without a command.
    let script = Script::new([]).preferring(Err(Errno(libc::EBADF)));
    let outcome = check_over::<Readsector0>(&script, &mut task());
    assert_eq!((outcome.verdict, outcome.last_reply), (Verdict::DOWN, None));
}

#[test]
fn a_cancelled_check_sends_nothing_more() {
    case_runner::run_cancelled::<Readsector0>(&sense(6, 0x29, 0));
}

proptest! {
    #[test]
    fn any_replies_give_a_verdict(steps in prop::collection::vec(any_step(), 8)) {
        let script = Script::new(steps.into_iter().chain([Step::error(libc::EIO)]));
        let verdict = check_over::<Readsector0>(&script, &mut task()).verdict;
        prop_assert!([Verdict::UP, Verdict::DOWN].contains(&verdict));
    }
}
