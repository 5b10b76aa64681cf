// SPDX-License-Identifier: LGPL-2.0-or-later

//! The volume access control page (C9h) of an rdac array: which controller owns the unit, and the state of
//! both.

#![forbid(unsafe_code)]

use crate::down;
use checkers_core::Verdict;
use sg_io::Cdb;
use std::ffi::CStr;

pub(crate) const NOT_CONNECTED: &CStr = c" reports path is down: lun not connected";
pub(crate) const STARTING: &CStr = c" reports path is down: ctlr is in startup sequence";
pub(crate) const NOT_RESPONSIVE: &CStr = c" reports path is down: non-responsive to queries";
pub(crate) const HELD_IN_RESET: &CStr = c" reports path is down: ctlr held in reset";
pub(crate) const DOWNLOADING: &CStr = c" reports path is down: ctlr firmware downloading";
pub(crate) const QUIESCED: &CStr = c" reports path is down: ctlr quiesced by admin request";
pub(crate) const SERVICE_MODE: &CStr = c" reports path is down: ctlr is in service mode";
pub(crate) const UNAVAILABLE: &CStr = c" reports path is down: ctlr is unavailable";

const LENGTH: u8 = 48;

/// The page.
pub(crate) struct AccessPage([u8; LENGTH as usize]);

/// Byte 8: target port group data is present (TPGDE).
const TPG_DATA: u8 = 0x10;
/// Byte 8: either controller takes I/O (I/O shipping).
const IO_SHIPPING: u8 = 0x20;
/// Byte 8: this controller owns the unit.
const OWNER: u8 = 0x01;

/// Asymmetric access states of SPC-4, as the low four bits of bytes 10 and 12 have them.
const IS_UNAVAILABLE: u8 = 0x3;
const IS_TRANSITIONING: u8 = 0xf;

impl AccessPage {
    /// The command that asks for it.
    pub(crate) const INQUIRY: Cdb = Cdb::inquiry_page(0xc9, LENGTH);

    /// A page of zeros.
    pub(crate) fn new() -> AccessPage {
        AccessPage([0; LENGTH as usize])
    }

    /// Where the device writes it.
    pub(crate) fn buffer(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// The verdict of the page.
    pub(crate) fn verdict(&self) -> Verdict {
        let Self(page) = self;
        let (peripheral, volume) = (page[0], page[8]);
        // Any device type but a disk, any peripheral qualifier but "connected". Bit 7 alone passes,
        // which makes it a qualifier that SPC leaves to vendors.
        if peripheral & 0x7f != 0 {
            return const { down(NOT_CONNECTED) };
        }
        if volume & TPG_DATA != 0 {
            // Byte 12 is about the other controller.
            match (page[10] & 0x0f, page[12] & 0x0f) {
                (IS_UNAVAILABLE, _) => return unavailable(page[11]),
                // Both in transition: a MODE SELECT or SET TARGET PORT GROUPS is in flight.
                (IS_TRANSITIONING, IS_TRANSITIONING) => (),
                (IS_TRANSITIONING, _) => return const { down(STARTING) },
                _ => (),
            }
        }
        if volume & (OWNER | IO_SHIPPING) != 0 {
            Verdict::UP
        } else {
            Verdict::GHOST
        }
    }
}

/// Why the controller is unavailable, by the vendor's byte 11.
fn unavailable(reason: u8) -> Verdict {
    match reason {
        2 => const { down(NOT_RESPONSIVE) },
        3 => const { down(HELD_IN_RESET) },
        4 | 5 => const { down(DOWNLOADING) },
        6 => const { down(QUIESCED) },
        7 => const { down(SERVICE_MODE) },
        _ => const { down(UNAVAILABLE) },
    }
}
