// SPDX-License-Identifier: LGPL-2.0-or-later

//! Bytes that are taken one after the other, and zeros after the last.

use sg_io::{DriverStatus, HostStatus, Reply, ScsiStatus, Sense};

/// The bytes that have not been taken yet.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Input<'a> {
        Input(bytes)
    }

    /// Whether all has been taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                *first
            }
            [] => 0,
        }
    }

    pub(crate) fn word(&mut self) -> i32 {
        i32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// Fills `place` with bytes, as far as there are any.
    pub(crate) fn fill(&mut self, place: &mut [u8]) {
        let length = place.len().min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        place[..length].copy_from_slice(taken);
        self.0 = rest;
    }

    /// A reply. One byte decides which parts are taken from the bytes; the others are those of
    /// success.
    pub(crate) fn reply(&mut self) -> Reply {
        let parts = self.byte();
        let mut reply = Reply::GOOD;
        if parts & 1 != 0 {
            reply.status = ScsiStatus(self.byte());
        }
        if parts & 2 != 0 {
            reply.host_status = HostStatus(u16::from_le_bytes([self.byte(), self.byte()]));
        }
        if parts & 4 != 0 {
            reply.driver_status = DriverStatus(u16::from_le_bytes([self.byte(), self.byte()]));
        }
        if parts & 8 != 0 {
            reply.info = u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]);
        }
        if parts & 16 != 0 {
            reply.residual = self.word();
        }
        if parts & 32 != 0 {
            let written = self.byte();
            let mut sense = [0; 32];
            self.fill(&mut sense[..usize::from(written).min(32)]);
            reply.sense = Sense::new(sense, written);
        }
        reply
    }
}
