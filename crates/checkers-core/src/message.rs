//! Message ids and the texts they stand for.
//!
//! A checker answers with a number; the host prints `"<name> checker<text>"`. Ids below
//! [`MessageId::FIRST_PLUGIN`] mean the same for every checker, those from 100 on index the
//! checker's own table.

use std::ffi::CStr;

/// A checker's own texts; the first one belongs to id 100.
pub type MessageTable = &'static [&'static CStr];

/// The `msgid` of the checker ABI (a C `short`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MessageId(i16);

impl MessageId {
    /// No message.
    pub const NONE: MessageId = MessageId(0);
    /// The checker has been disabled by the host.
    pub const DISABLED: MessageId = MessageId(1);
    /// The host gave no file descriptor.
    pub const NO_FD: MessageId = MessageId(2);
    /// A message id that means nothing.
    pub const INVALID: MessageId = MessageId(3);
    /// The path is up.
    pub const UP: MessageId = MessageId(4);
    /// The path is down.
    pub const DOWN: MessageId = MessageId(5);
    /// The path is a ghost.
    pub const GHOST: MessageId = MessageId(6);
    /// The device does not understand this checker's commands.
    pub const UNSUPPORTED: MessageId = MessageId(7);
    /// The target no longer gives access to the unit (0.14.0 and later).
    pub const DISCONNECTED: MessageId = MessageId(8);
    /// The check timed out (0.15.0 and later).
    pub const TIMEOUT: MessageId = MessageId(9);
    /// The check is still running (0.15.0 and later).
    pub const RUNNING: MessageId = MessageId(10);
    /// The first id of a checker's own table.
    pub const FIRST_PLUGIN: i16 = 100;
    /// How many messages of its own a checker may have.
    pub const MAX_PLUGIN: usize = 100;

    /// The id of the checker's own message at `index` of its table.
    ///
    /// # Panics
    /// At compile time, when used in a constant with an index that no host would resolve.
    pub const fn plugin(index: usize) -> MessageId {
        assert!(index < Self::MAX_PLUGIN);
        MessageId(Self::FIRST_PLUGIN + index as i16)
    }

    /// The id with this value, whether or not it means anything.
    pub const fn from_raw(raw: i16) -> MessageId {
        MessageId(raw)
    }

    /// The value in the C ABI.
    pub const fn as_raw(self) -> i16 {
        self.0
    }
}

/// The generic texts, by id.
const GENERIC: [&CStr; 11] = [
    c"",
    c" is disabled",
    c" has no usable fd",
    c" provided invalid message id",
    c" reports path is up",
    c" reports path is down",
    c" reports path is ghost",
    c" doesn't support this device",
    c" no access to this device",
    c" timed out",
    c" still running",
];

/// The text of `id` for a checker with this `table`: empty when the id is negative, lies between
/// the generic ids and 100, or points past the table (as `checker_message` resolves it).
pub fn resolve(id: MessageId, table: MessageTable) -> &'static CStr {
    let Ok(index) = usize::try_from(id.0) else {
        return c"";
    };
    match index.checked_sub(MessageId::FIRST_PLUGIN as usize) {
        Some(own) => table.get(own).copied().unwrap_or(c""),
        None => GENERIC.get(index).copied().unwrap_or(c""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: MessageTable = &[c" first", c" second"];

    #[test]
    fn ids_resolve_as_checker_message_does() {
        for (raw, text) in [
            (-1, c""),
            (0, c""),
            (4, c" reports path is up"),
            (8, c" no access to this device"),
            (10, c" still running"),
            (11, c""),
            (99, c""),
            (100, c" first"),
            (101, c" second"),
            (102, c""),
            (i16::MIN, c""),
            (i16::MAX, c""),
        ] {
            assert_eq!(resolve(MessageId::from_raw(raw), TABLE), text, "id {raw}");
        }
    }
}
