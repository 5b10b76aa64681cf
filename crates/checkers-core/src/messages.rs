// SPDX-License-Identifier: LGPL-2.0-or-later

//! The messages of one checker: its own and those that every asynchronous checker has.

#![forbid(unsafe_code)]

use crate::{MessageId, MessageTable, Probe};
use std::ffi::CStr;

/// The messages of a checker: its own texts, and three common ones before or after them. Ids follow from the
/// places and are looked up by text, at compile time.
///
/// ```
/// use checkers_core::{MessageId, Messages};
/// use std::ffi::CStr;
///
/// const SLOW: &CStr = c" reports path is slow";
/// const MESSAGES: Messages = Messages::before_common(&[SLOW]);
/// const SLOW_ID: MessageId = MESSAGES.id(SLOW);
///
/// assert_eq!(SLOW_ID, MessageId::plugin(0));
/// assert_eq!(MESSAGES.running(), MessageId::plugin(1));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    own: MessageTable,
    common_first: bool,
}

const RUNNING: &CStr = c" still running";
const TIMED_OUT: &CStr = c" timed out";
const NOT_STARTED: &CStr = c" failed to initialize";

/// In the order of the table.
const COMMON: [&CStr; 3] = [RUNNING, TIMED_OUT, NOT_STARTED];

/// The longest table.
const LARGEST: usize = 32;

impl Messages {
    /// The common messages alone.
    pub const COMMON: Messages = Messages::before_common(&[]);

    /// A checker's `own` messages, which come before the common ones.
    pub const fn before_common(own: MessageTable) -> Messages {
        Messages {
            own,
            common_first: false,
        }
    }

    /// A checker's `own` messages, which come after the common ones.
    pub const fn after_common(own: MessageTable) -> Messages {
        Messages {
            own,
            common_first: true,
        }
    }

    /// The id of the message with this text, common or own.
    ///
    /// # Panics
    /// When there is none: at compile time, if it is used in a constant.
    pub const fn id(self, text: &CStr) -> MessageId {
        let (before, after) = self.parts();
        if let Some(index) = position(before, text) {
            return MessageId::plugin(index);
        }
        match position(after, text) {
            Some(index) => MessageId::plugin(before.len() + index),
            None => panic!("the checker has no message with this text"),
        }
    }

    /// The message of a check that has not ended yet.
    pub const fn running(self) -> MessageId {
        self.id(RUNNING)
    }

    /// The message of a check that did not end within its time limit.
    pub const fn timed_out(self) -> MessageId {
        self.id(TIMED_OUT)
    }

    /// The message of a check that could not be started for want of memory or threads.
    pub const fn not_started(self) -> MessageId {
        self.id(NOT_STARTED)
    }

    const fn parts(self) -> (&'static [&'static CStr], &'static [&'static CStr]) {
        if self.common_first {
            (&COMMON, self.own)
        } else {
            (self.own, &COMMON)
        }
    }

    const fn len(self) -> usize {
        self.own.len() + COMMON.len()
    }

    /// Every text in its place, padded.
    const fn padded(self) -> [&'static CStr; LARGEST] {
        let mut all = [c""; LARGEST];
        let (before, after) = self.parts();
        fill(&mut all, before, 0);
        fill(&mut all, after, before.len());
        all
    }
}

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn position(texts: &[&CStr], text: &CStr) -> Option<usize> {
    let mut index = 0;
    while index < texts.len() {
        if same(texts[index].to_bytes(), text.to_bytes()) {
            return Some(index);
        }
        index += 1;
    }
    None
}

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut index = 0;
    while index < one.len() && index < other.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    one.len() == other.len()
}

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn fill(all: &mut [&'static CStr; LARGEST], texts: &[&'static CStr], first: usize) {
    let mut index = 0;
    while index < texts.len() {
        all[first + index] = texts[index];
        index += 1;
    }
}

/// The whole table of a probe.
pub(crate) struct TableOf<P>(P);

impl<P: Probe> TableOf<P> {
    const PADDED: &'static [&'static CStr; LARGEST] = &P::MESSAGES.padded();
    /// The texts, the first of which belongs to id 100.
    pub(crate) const TABLE: MessageTable = Self::PADDED.split_at(P::MESSAGES.len()).0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_the_places() {
        let own: MessageTable = &[c" one", c" two"];
        let ids = |messages: Messages| {
            let common = [
                messages.running(),
                messages.timed_out(),
                messages.not_started(),
            ];
            let own = [messages.id(c" one"), messages.id(c" two")];
            (common.map(MessageId::as_raw), own.map(MessageId::as_raw))
        };
        assert_eq!(
            ids(Messages::before_common(own)),
            ([102, 103, 104], [100, 101])
        );
        assert_eq!(
            ids(Messages::after_common(own)),
            ([100, 101, 102], [103, 104])
        );
    }
}
