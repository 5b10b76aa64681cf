//! The read of the first block by which readsector0 and emc_clariion judge a device.

#![forbid(unsafe_code)]

use crate::{Cancelled, Cdb, Data, Device, Errno, Sense, SenseKey, Transport};

/// What the read says about the path.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Direction, Script, Step, any_step, fixed_sense};
    use crate::{DriverStatus, HostStatus, Millis, Reply, ScsiStatus};
    use proptest::prelude::*;

    fn read(script: &Script) -> Read {
        sg_read(&mut Device::new(script, 3, Millis(30_000), &|| false)).unwrap()
    }

    #[test]
    fn asks_for_what_the_node_prefers() {
        for (preferred, blocks, length) in [
            (1, 4096, 4096),
            (512, 8, 4096),
            (513, 7, 3591),
            (3000, 1, 3000),
            (4096, 1, 4096),
            (65536, 1, 4096),
            (u64::MAX, 1, 4096),
        ] {
            let script = Script::new([Step::GOOD]).preferring(Ok(preferred));
            assert_eq!(read(&script), Read::Up);
            let sent = script.sent();
            assert_eq!(sent.len(), 1);
            let blocks = u16::to_be_bytes(blocks);
            assert_eq!(
                sent[0].cdb.as_bytes(),
                [0x28, 0, 0, 0, 0, 0, 0, blocks[0], blocks[1], 0]
            );
            assert_eq!(sent[0].length, length, "preferred size {preferred}");
            assert_eq!(sent[0].direction, Direction::In);
            assert_eq!(sent[0].timeout, Millis(30_000));
        }
    }

    #[test]
    fn a_node_that_says_nothing_useful_is_down_and_not_asked() {
        for preferred in [Ok(0), Err(Errno(libc::EBADF))] {
            let script = Script::new([]).preferring(preferred);
            assert_eq!(read(&script), Read::Down(Sense::NONE));
            assert!(script.sent().is_empty());
        }
    }

    #[test]
    fn every_row_of_the_table() {
        let attention = Step::sense(fixed_sense(6, 0x29, 0));
        let refused = fixed_sense(5, 0x25, 1);
        let with = |reply| Step::reply(reply);
        for (steps, expected) in [
            (vec![Step::error(libc::EINTR); 9], None),
            (vec![Step::error(libc::ENOMEM)], Some(Read::Up)),
            (
                vec![Step::error(libc::ENOTTY)],
                Some(Read::Down(Sense::NONE)),
            ),
            (vec![Step::error(libc::EIO)], Some(Read::Down(Sense::NONE))),
            (vec![attention, Step::GOOD], Some(Read::Up)),
            (vec![attention, attention, Step::GOOD], Some(Read::Up)),
            (
                vec![attention; 3],
                Some(Read::Down(fixed_sense(6, 0x29, 0))),
            ),
            (
                vec![attention, Step::error(libc::EIO)],
                Some(Read::Down(Sense::NONE)),
            ),
            (vec![Step::sense(refused)], Some(Read::Down(refused))),
            (
                // Bits 0 and 7 are not masked off here.
                vec![with(Reply {
                    status: ScsiStatus(0x81),
                    ..Reply::GOOD
                })],
                Some(Read::Down(Sense::NONE)),
            ),
            (
                vec![with(Reply {
                    host_status: HostStatus::ERROR,
                    ..Reply::GOOD
                })],
                Some(Read::Down(Sense::NONE)),
            ),
            (
                vec![with(Reply {
                    driver_status: DriverStatus(0x10),
                    ..Reply::GOOD
                })],
                Some(Read::Down(Sense::NONE)),
            ),
            (
                // The kernel's own summary is not asked.
                vec![with(Reply {
                    info: 1,
                    ..Reply::GOOD
                })],
                Some(Read::Up),
            ),
        ] {
            let count = steps.len();
            let mut steps = steps;
            let expected = expected.unwrap_or_else(|| {
                steps.push(Step::GOOD);
                Read::Up
            });
            let script = Script::new(steps.clone());
            assert_eq!(read(&script), expected, "{steps:?}");
            assert_eq!(script.sent().len(), steps.len(), "{count} {steps:?}");
        }
    }

    #[test]
    fn a_cancelled_check_sends_nothing_more() {
        let script = Script::new([Step::error(libc::EINTR)]);
        let cancelled = || !script.sent().is_empty();
        let mut device = Device::new(&script, 3, Millis(30_000), &cancelled);
        assert_eq!(sg_read(&mut device), Err(Cancelled));
        assert_eq!(script.sent().len(), 1);
    }

    proptest! {
        #[test]
        fn any_reply_ends_in_at_most_three_attempts(
            steps in proptest::collection::vec(any_step(), 3),
            preferred: u64,
        ) {
            let steps: Vec<_> = steps
                .into_iter()
                .map(|step| match step {
                    Step { result: Err(Errno(libc::EINTR)), .. } => Step::error(libc::EIO),
                    other => other,
                })
                .collect();
            read(&Script::new(steps).preferring(Ok(preferred)));
        }
    }
}
