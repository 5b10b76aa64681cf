// SPDX-License-Identifier: LGPL-2.0-or-later

//! The read of the first block, by which readsector0 and emc_clariion check a device.

#![forbid(unsafe_code)]

use crate::{Cancelled, Cdb, Data, Device, Errno, Sense, SenseKey, Transport};

/// What the read shows about the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The data arrived, or this machine had no memory for it, which is not the path's fault.
    Up,
    /// The read failed, with the sense data of the last attempt (none when it could not be sent).
    Down(Sense),
}

/// The buffer, and with it the most that is read.
const BUFFER: usize = 4096;
/// How often a read is sent, counting only those that a unit attention spoils.
const ATTEMPTS: u32 = 3;

/// Reads up to 4096 bytes from logical block 0 with READ(10).
///
/// As in multipath-tools, the number of blocks comes from the preferred transfer size of the device
/// *node* (capped at 4096), which need not be the size of a logical block. Where blocks are larger
/// the device is asked for more than the transfer length, and the kernel cuts off the rest. A
/// preferred size of zero counts as a failed read.
///
/// # Errors
/// [`Cancelled`] when the check is no longer wanted.
pub fn sg_read(device: &mut Device<'_, impl Transport>) -> Result<Read, Cancelled> {
    let Ok(preferred) = device.preferred_io() else {
        return Ok(Read::Down(Sense::NONE));
    };
    let block = usize::try_from(preferred).map_or(BUFFER, |size| size.min(BUFFER));
    let Some(blocks) = BUFFER.checked_div(block) else {
        return Ok(Read::Down(Sense::NONE));
    };
    // At most 4096 blocks, so two bytes hold them.
    let [.., high, low] = blocks.to_be_bytes();
    let cdb = Cdb::Ten([0x28, 0, 0, 0, 0, 0, 0, high, low, 0]);

    let mut buffer = [0; BUFFER];
    let mut attempts_left = ATTEMPTS;
    loop {
        let data = buffer.get_mut(..block * blocks).unwrap_or(&mut []);
        let reply = match device.send(cdb, Data::In(data))? {
            Ok(reply) => reply,
            Err(Errno(libc::EINTR)) => continue,
            Err(Errno(libc::ENOMEM)) => return Ok(Read::Up),
            Err(_) => return Ok(Read::Down(Sense::NONE)),
        };
        if reply.is_clear(reply.status) {
            return Ok(Read::Up);
        }
        attempts_left -= 1;
        let retry = reply.sense.by_response_code().key == SenseKey::UNIT_ATTENTION;
        if !retry || attempts_left == 0 {
            return Ok(Read::Down(reply.sense));
        }
    }
}

// The table of replies is in compat-tests/cases: readsector0's, and emc_clariion's reads.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::Millis;
    use crate::script::{Script, Step};

    #[test]
    fn extreme_preferred_sizes() {
        for (preferred, expected, commands) in [
            (Ok(u64::MAX), Read::Up, 1),
            (Ok(0), Read::Down(Sense::NONE), 0),
            (Err(Errno(libc::EBADF)), Read::Down(Sense::NONE), 0),
        ] {
            let script = Script::new([Step::GOOD]).preferring(preferred);
            let mut device = Device::new(&script, 3, Millis(30_000), &|| false);
            assert_eq!(sg_read(&mut device), Ok(expected));
            assert_eq!(script.sent().len(), commands, "{preferred:?}");
        }
    }
}
