// SPDX-License-Identifier: LGPL-2.0-or-later

//! rdac without its preparation: MODE SELECT changes a setting of the array, which a check
//! must not do without the user's consent.

use checkers::checker_rdac::Rdac;
use checkers_core::{Messages, Outcome, Probe, Task};

/// [`Rdac`], its checks alone.
#[derive(Debug)]
pub(crate) enum RdacReadOnly {}

impl Probe for RdacReadOnly {
    const NAME: &'static str = <Rdac as Probe>::NAME;
    const MESSAGES: Messages = <Rdac as Probe>::MESSAGES;

    type Memory = <Rdac as Probe>::Memory;
    type LogRecord = <Rdac as Probe>::LogRecord;
    type LastReply = <Rdac as Probe>::LastReply;

    fn probe(task: &mut Task<'_, Self::Memory>) -> Outcome<RdacReadOnly> {
        let Outcome {
            verdict,
            record,
            last_reply,
        } = Rdac::probe(task);
        Outcome {
            verdict,
            record,
            last_reply,
        }
    }
}
