//! emc_clariion's decision table, and what holds for any reply.

use super::*;
use cases::{Checker, good, host};
use checkers_core::{Seconds, Task, check_over};
use proptest::prelude::*;
use sg_io::script::{Script, Step, any_step};

const WWN: Wwn = Wwn([
    0x60, 0x06, 0x01, 0x60, 0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa0,
]);

/// The page of an active path, changed at these offsets.
fn page(bytes: &[(usize, u8)]) -> Vec<u8> {
    let mut page = vec![0; 128];
    page[10..26].copy_from_slice(&WWN.0);
    let active = [(1, 0xc0), (4, 2), (27, 3), (28, 4), (30, 4)];
    for (at, value) in active.iter().chain(bytes) {
        page[*at] = *value;
    }
    page
}

#[test]
fn decision_table() {
    case_runner::run::<EmcClariion>(Checker::EmcClariion);
}

#[test]
fn messages() {
    case_runner::verify_messages::<EmcClariion>(Checker::EmcClariion);
}

#[test]
fn a_cancelled_check_sends_nothing_more() {
    for first in [host(7), good().data(page(&[]))] {
        case_runner::run_cancelled::<EmcClariion>(&first);
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
        let outcome = check_over::<EmcClariion>(&Script::new(steps), &mut task);
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
