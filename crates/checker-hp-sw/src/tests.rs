//! hp_sw's decision table, and what holds for any reply.

use super::*;
use cases::{Checker, good};
use checkers_core::{MapMemory, Seconds, Task, check_over};
use proptest::prelude::*;
use sg_io::script::{Script, any_step};

#[test]
fn decision_table() {
    case_runner::run::<HpSw>(Checker::HpSw);
}

#[test]
fn messages() {
    case_runner::verify_messages::<HpSw>(Checker::HpSw);
}

#[test]
fn a_cancelled_check_sends_nothing_more() {
    case_runner::run_cancelled::<HpSw>(&good());
}

proptest! {
    #[test]
    fn any_two_replies_give_a_verdict(steps in prop::collection::vec(any_step(), 2)) {
        let mut task = Task::uncancelled(3, Seconds(30), (), MapMemory::Absent);
        let verdict = check_over::<HpSw>(&Script::new(steps), &mut task).verdict;
        prop_assert!([
            Verdict::UNSUPPORTED,
            Verdict::UP,
            Verdict::DOWN,
            Verdict::GHOST,
        ].contains(&verdict));
    }
}
