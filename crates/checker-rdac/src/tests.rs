//! rdac's decision tables, and what holds for any reply.

use super::*;
use cases::{Checker, good, host};
use checkers_core::{MapMemory, Seconds, Task, check_over, set_up_over};
use proptest::prelude::*;
use sg_io::script::{Script, any_step};

fn task() -> Task<'static, ()> {
    Task::uncancelled(3, Seconds(30), (), MapMemory::Absent)
}

#[test]
fn decision_table() {
    case_runner::run::<Rdac>(Checker::Rdac);
}

#[test]
fn messages() {
    case_runner::verify_messages::<Rdac>(Checker::Rdac);
}

#[test]
fn a_cancelled_check_sends_nothing_more() {
    case_runner::run_cancelled::<Rdac>(&host(7));
    case_runner::run_cancelled_setup::<Rdac>(&good());
}

proptest! {
    #[test]
    fn any_five_replies_give_a_verdict(steps in prop::collection::vec(any_step(), 5)) {
        let outcome = check_over::<Rdac>(&Script::new(steps), &mut task());
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
        set_up_over::<Rdac>(&script, &task());
        let clear = |reply: Reply| reply.is_clear(reply.status.masked());
        let good = steps.iter().take(2).all(|step| step.result.is_ok_and(clear));
        prop_assert!(script.sent().len() < 3 || good);
    }
}
