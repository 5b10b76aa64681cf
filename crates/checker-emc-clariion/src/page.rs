// SPDX-License-Identifier: LGPL-2.0-or-later

//! The unit path report page (C0h) of a CLARiiON: how this path is set up and what it leads to.

#![forbid(unsafe_code)]

use crate::{down, own};
use checkers_core::{PathState, Verdict};
use sg_io::Cdb;
use std::ffi::CStr;
use std::fmt;

const LENGTH: u8 = 128;

/// The page.
pub(crate) struct UnitPage([u8; LENGTH as usize]);

/// The world wide name of a unit; shows as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wwn(pub [u8; 16]);

impl fmt::Display for Wwn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The role of this path's storage processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It owns the unit.
    Active,
    /// The other storage processor owns the unit.
    Passive,
}

pub(crate) const MISCONFIGURED: &CStr = c": Path not correctly configured for failover";
pub(crate) const UNKNOWN_FORMAT: &CStr = c": Path unit report page in unknown format";
pub(crate) const NOT_AVAILABLE: &CStr = c": Path not available for normal operations";
pub(crate) const UNBOUND: &CStr = c": Logical Unit is unbound or LUNZ";

impl UnitPage {
    /// The command that asks for it.
    pub(crate) const INQUIRY: Cdb = Cdb::inquiry_page(0xc0, LENGTH);

    /// A page of zeros.
    pub(crate) fn new() -> UnitPage {
        UnitPage([0; LENGTH as usize])
    }

    /// Where the device writes it.
    pub(crate) fn buffer(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// The role of the path, or the verdict where the page says that it cannot be used.
    pub(crate) fn role(&self) -> Result<Role, Verdict> {
        let Self(page) = self;
        // Page code and revision.
        if page[1] != 0xc0 || page[9] != 0x00 {
            return Err(const { down(UNKNOWN_FORMAT) });
        }
        // Effective initiator type 3; failover mode 4 (passive not ready) or 6 (ALUA); array
        // communication path enabled.
        let failover_mode = page[28] & 0x07;
        if page[27] != 0x03 || !matches!(failover_mode, 4 | 6) || page[30] & 0x04 == 0 {
            return Err(const { down(MISCONFIGURED) });
        }
        // Something keeps the unit from normal operations.
        if page[48] != 0x00 {
            return Err(const { own(PathState::Shaky, NOT_AVAILABLE) });
        }
        // The unit's state: not bound (or the stand-in unit LUNZ), bound, bound and owned here.
        match page[4] {
            0 => Err(const { down(UNBOUND) }),
            2 => Ok(Role::Active),
            _ => Ok(Role::Passive),
        }
    }

    /// The name of the unit, bytes 10 to 25.
    pub(crate) fn wwn(&self) -> Wwn {
        let mut wwn = [0; 16];
        wwn.iter_mut()
            .zip(self.0.iter().skip(10))
            .for_each(|(to, from)| *to = *from);
        Wwn(wwn)
    }
}
