// SPDX-License-Identifier: LGPL-2.0-or-later

//! readsector0 over its decision table.

#![forbid(unsafe_code)]

use super::Readsector0;
use cases::{Checker, errno, sense};
use checkers_core::{MapMemory, Seconds, Task, Verdict, check_over};
use sg_io::script::{Script, Step, fixed_sense};
use sg_io::{Cdb, Errno};

case_runner::unit_tests!(
    Readsector0,
    Checker::Readsector0,
    sense(6, 0x29, 0),
    errno(libc::EINTR)
);

#[test]
fn the_last_reply_is_kept() {
    let mut task = Task::uncancelled(3, Seconds(30), (), MapMemory::Absent);
    let script = Script::new([Step::sense(fixed_sense(2, 0x3a, 0))]);
    let outcome = check_over::<Readsector0>(&script, &mut task);
    let last_reply = outcome.last_reply.unwrap();
    assert_eq!(last_reply.cdb, Cdb::Ten([0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0]));
    assert_eq!(
        last_reply.to_string(),
        "READ(10): CHECK CONDITION, DRIVER_SENSE, Not Ready: Medium not present (02/3a/00)"
    );
    // A node whose preferred size cannot be read is down without a command.
    let script = Script::new([]).preferring(Err(Errno(libc::EBADF)));
    let outcome = check_over::<Readsector0>(&script, &mut task);
    assert_eq!((outcome.verdict, outcome.last_reply), (Verdict::DOWN, None));
}
