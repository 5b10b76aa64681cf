//! The volume access control page (C9h) of an rdac array: who owns the unit, and how the two
//! controllers are.

use checkers_core::{MessageId, PathState, Verdict};
use sg_io::Cdb;

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
const UNAVAILABLE: u8 = 0x3;
const TRANSITIONING: u8 = 0xf;

impl AccessPage {
    /// The command that asks for it.
    pub(crate) const INQUIRY: Cdb = Cdb::inquiry_page(0xc9, LENGTH);

    /// A page of zeros.
    pub(crate) fn new() -> AccessPage {
        AccessPage([0; LENGTH as usize])
    }

    /// Where the device's answer goes.
    pub(crate) fn buffer(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// What the page says about the path.
    pub(crate) fn verdict(&self) -> Verdict {
        let Self(page) = self;
        let (peripheral, volume) = (page[0], page[8]);
        // Any device type but a disk, any peripheral qualifier but "connected". Bit 7 alone passes,
        // which makes it a qualifier that SPC leaves to vendors.
        if peripheral & 0x7f != 0 {
            return down(0);
        }
        if volume & TPG_DATA != 0 {
            // Byte 12 is about the other controller.
            match (page[10] & 0x0f, page[12] & 0x0f) {
                (UNAVAILABLE, _) => return unavailable(page[11]),
                // Both in transition: a MODE SELECT or SET TARGET PORT GROUPS is under way.
                (TRANSITIONING, TRANSITIONING) => (),
                (TRANSITIONING, _) => return down(1),
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
    down(match reason {
        2 => 2,
        3 => 3,
        4 | 5 => 4,
        6 => 5,
        7 => 6,
        _ => 7,
    })
}

/// Down, with the message at `index` of the table.
const fn down(index: usize) -> Verdict {
    Verdict::new(PathState::Down, MessageId::plugin(index))
}
