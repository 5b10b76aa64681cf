//! hp_sw's decision table, and what holds for any reply.

use super::*;
use cases::{Checker, good};
use checkers_core::{MapMemory, Seconds};
use proptest::prelude::*;
use sg_io::script::{Script, any_step};

#[test]
fn decision_table() {
    case_runner::run(Checker::HpSw, |script, task| run(script, task), |_, _| None);
}

#[test]
fn messages() {
    case_runner::verify_messages::<HpSw>(Checker::HpSw);
}

#[test]
fn a_cancelled_check_sends_nothing_more() {
    case_runner::run_cancelled::<HpSw>(&good(), |transport, task| {
        run(transport, task);
    });
}

proptest! {
    #[test]
    fn any_two_replies_give_a_verdict(steps in prop::collection::vec(any_step(), 2)) {
        let task = Task::uncancelled(3, Seconds(30), (), MapMemory::Absent);
        let verdict = run(&Script::new(steps), &task).verdict;
        prop_assert!([
            Verdict::UNSUPPORTED,
            Verdict::UP,
            Verdict::DOWN,
            Verdict::GHOST,
        ].contains(&verdict));
    }
}
