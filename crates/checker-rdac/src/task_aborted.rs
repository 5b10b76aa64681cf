// SPDX-License-Identifier: LGPL-2.0-or-later

//! The TAS bit of the control mode page: "task aborted status", which makes an array report
//! commands that another initiator aborted.

#![forbid(unsafe_code)]

use sg_io::{Cancelled, Cdb, Data, Device, Reply, Transport};

/// Mode parameter header of MODE SENSE(10) without block descriptors, and the control mode page.
const LENGTH: usize = 20;
type ModeData = [u8; LENGTH];

/// Where the page begins, and the byte and bit of TAS within the whole.
const PAGE_CODE: usize = 8;
const PAGE_LENGTH: usize = 9;
const TAS_BYTE: usize = 13;
const TAS: u8 = 0x40;

/// The control mode page and the number of bytes after its header.
const CONTROL_PAGE: u8 = 0x0a;
const CONTROL_PAGE_LENGTH: u8 = 0x0a;

/// Page control: which values of the page are asked for.
const CURRENT: u8 = 0;
const CHANGEABLE: u8 = 1;

/// Sets the bit where it is clear and can be set. Each command is sent once. Returns whether the
/// bit is set now, as far as the replies show.
///
/// # Errors
/// [`Cancelled`] when the check is no longer wanted.
pub(crate) fn enable(device: &mut Device<'_, impl Transport>) -> Result<bool, Cancelled> {
    let Some(mut current) = mode_sense(device, CURRENT)? else {
        return Ok(false);
    };
    if current[TAS_BYTE] & TAS != 0 {
        return Ok(true);
    }
    match mode_sense(device, CHANGEABLE)? {
        Some(changeable) if changeable[TAS_BYTE] & TAS != 0 => (),
        _ => return Ok(false),
    }
    current[PAGE_CODE] = CONTROL_PAGE;
    current[PAGE_LENGTH] = CONTROL_PAGE_LENGTH;
    current[TAS_BYTE] |= TAS;
    // MODE SELECT(10) that saves the page. Its SCSI status is not looked at: an array that refuses
    // stays as it was.
    let select = Cdb::Ten([0x55, 0x01, 0, 0, 0, 0, 0, 0, LENGTH as u8, 0]);
    Ok(device.send(select, Data::Out(&current))?.is_ok())
}

/// The control mode page by MODE SENSE(10), without block descriptors. `None` unless the command
/// succeeded: a page that was not sent must not be written back.
fn mode_sense(
    device: &mut Device<'_, impl Transport>,
    values: u8,
) -> Result<Option<ModeData>, Cancelled> {
    let page = CONTROL_PAGE | values << 6;
    let sense = Cdb::Ten([0x5a, 0x08, page, 0, 0, 0, 0, 0, LENGTH as u8, 0]);
    let mut data = [0; LENGTH];
    let reply = device.send(sense, Data::In(&mut data))?;
    let clear = |reply: &Reply| reply.is_clear(reply.status.masked());
    Ok(reply.ok().filter(clear).map(|_| data))
}
