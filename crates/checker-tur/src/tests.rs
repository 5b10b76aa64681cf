//! tur's decision table, and what holds for any reply.

use super::*;
use cases::{Checker, host};
use checkers_core::{MapMemory, Seconds, Task, check_over};
use proptest::prelude::*;
use sg_io::script::{Script, any_step};

#[test]
fn decision_table() {
    case_runner::run::<Tur>(Checker::Tur);
}

#[test]
fn messages() {
    case_runner::verify_messages::<Tur>(Checker::Tur);
}

#[test]
fn a_cancelled_check_sends_nothing_more() {
    case_runner::run_cancelled::<Tur>(&host(7));
}

proptest! {
    #[test]
    fn any_five_replies_give_a_verdict(steps in prop::collection::vec(any_step(), 5)) {
        let mut task = Task::uncancelled(3, Seconds(30), (), MapMemory::Absent);
        let verdict = check_over::<Tur>(&Script::new(steps), &mut task).verdict;
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
