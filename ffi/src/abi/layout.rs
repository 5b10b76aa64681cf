// SPDX-License-Identifier: LGPL-2.0-or-later

//! Where the members of `struct checker` are.
//!
//! A member's place follows from the order of the members and the natural alignment of their types, as
//! in C. [`Layout::new`] is the only description; the offsets of 64-bit systems are asserted below.

#![forbid(unsafe_code)]

use super::Abi;
use std::ffi::{c_int, c_short, c_uint, c_void};
use std::marker::PhantomData;

/// The offset of a member of type `T`.
#[derive(Debug)]
pub(super) struct Member<T> {
    offset: usize,
    member: PhantomData<fn() -> T>,
}

impl<T> Clone for Member<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Member<T> {}

impl<T> Member<T> {
    /// In bytes from the start of the struct.
    pub(super) const fn offset(self) -> usize {
        self.offset
    }
}

/// Size and offsets of one ABI's `struct checker`, in bytes.
#[derive(Debug)]
pub struct Layout {
    pub(super) cls: Member<*mut c_void>,
    pub(super) fd: Member<c_int>,
    pub(super) timeout: Member<c_uint>,
    pub(super) disable: Member<c_int>,
    pub(super) path_state: Option<Member<c_int>>,
    pub(super) msgid: Member<c_short>,
    pub(super) context: Member<*mut c_void>,
    pub(super) mpcontext: Option<Member<*mut *mut c_void>>,
    size: usize,
}

static V0_7_9: Layout = Layout::new(Optional::MpContext);
static V0_11: Layout = Layout::new(Optional::PathStateAndMpContext);
static V0_15: Layout = Layout::new(Optional::PathState);

/// Which of the members exist that not every ABI has.
#[derive(Clone, Copy)]
enum Optional {
    MpContext,
    PathStateAndMpContext,
    PathState,
}

impl Layout {
    /// The layout of an ABI.
    pub fn of(abi: Abi) -> &'static Layout {
        match abi {
            Abi::V0_7_9 => &V0_7_9,
            Abi::V0_11 | Abi::V0_14 => &V0_11,
            Abi::V0_15 => &V0_15,
        }
    }

    /// The members in the order of C's declaration.
    const fn new(optional: Optional) -> Layout {
        let mut end = End(0);
        Layout {
            cls: end.place(),
            fd: end.place(),
            timeout: end.place(),
            disable: end.place(),
            path_state: match optional {
                Optional::MpContext => None,
                Optional::PathStateAndMpContext | Optional::PathState => Some(end.place()),
            },
            msgid: end.place(),
            context: end.place(),
            mpcontext: match optional {
                Optional::PathState => None,
                Optional::MpContext | Optional::PathStateAndMpContext => Some(end.place()),
            },
            size: end.0.next_multiple_of(align_of::<*mut c_void>()),
        }
    }

    /// The size of the struct, in bytes.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The names of the members that exist, with their offsets in bytes, in order.
    pub fn members(&self) -> impl Iterator<Item = (&'static str, usize)> + use<> {
        [
            ("cls", Some(self.cls.offset)),
            ("fd", Some(self.fd.offset)),
            ("timeout", Some(self.timeout.offset)),
            ("disable", Some(self.disable.offset)),
            ("path_state", self.path_state.map(Member::offset)),
            ("msgid", Some(self.msgid.offset)),
            ("context", Some(self.context.offset)),
            ("mpcontext", self.mpcontext.map(Member::offset)),
        ]
        .into_iter()
        .filter_map(|(name, offset)| Some((name, offset?)))
    }

    /// The offset of the member with this name, in bytes; `None` where the ABI has no such member.
    pub fn offset_of(&self, name: &str) -> Option<usize> {
        let mut members = self.members();
        members
            .find(|member| member.0 == name)
            .map(|member| member.1)
    }
}

/// The end of the members placed so far.
struct End(usize);

impl End {
    const fn place<T>(&mut self) -> Member<T> {
        let offset = self.0.next_multiple_of(align_of::<T>());
        self.0 = offset + size_of::<T>();
        Member {
            offset,
            member: PhantomData,
        }
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    const fn offset<T: Copy>(member: &Option<Member<T>>) -> usize {
        match member {
            Some(member) => member.offset,
            None => usize::MAX,
        }
    }
    const fn common(layout: &Layout) {
        assert!(layout.cls.offset == 0 && layout.fd.offset == 8);
        assert!(layout.timeout.offset == 12 && layout.disable.offset == 16);
    }

    let layout = &Layout::new(Optional::MpContext);
    common(layout);
    assert!(layout.path_state.is_none() && layout.msgid.offset == 20);
    assert!(layout.context.offset == 24 && offset(&layout.mpcontext) == 32 && layout.size == 40);

    let layout = &Layout::new(Optional::PathStateAndMpContext);
    common(layout);
    assert!(offset(&layout.path_state) == 20 && layout.msgid.offset == 24);
    assert!(layout.context.offset == 32 && offset(&layout.mpcontext) == 40 && layout.size == 48);

    let layout = &Layout::new(Optional::PathState);
    common(layout);
    assert!(offset(&layout.path_state) == 20 && layout.msgid.offset == 24);
    assert!(layout.context.offset == 32 && layout.mpcontext.is_none() && layout.size == 40);
};
