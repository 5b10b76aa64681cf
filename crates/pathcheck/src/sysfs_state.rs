// SPDX-License-Identifier: LGPL-2.0-or-later

//! How multipathd treats the `state` that sysfs has for a SCSI device or an NVMe controller.
//!
//! The daemon calls the checker only while it is "running" or "live"; else the path's state follows
//! from it (multipath-tools 0.14.3, `path_sysfs_state`).

use crate::device_info::DeviceInfo;
use checkers_core::PathState;

/// The path's state and the message, if the checker is not called.
pub(crate) fn verdict(info: &DeviceInfo) -> Option<(PathState, String)> {
    let state = info.sysfs_state.as_deref();
    let verdict = match (info.kind.as_str(), state) {
        ("scsi", Some("running")) | ("nvme", Some("live")) => return None,
        ("scsi", Some("blocked" | "quiesce")) => PathState::Pending,
        ("nvme", Some("new" | "deleting")) => PathState::Pending,
        // A native multipath device has several controllers and no state.
        ("nvme", None) => return None,
        // Without a state the device has been removed. The daemon waits for the event; until then
        // the path is down.
        ("scsi" | "nvme", _) => PathState::Down,
        _ => return None,
    };
    let message = match state {
        Some(state) => format!("sysfs says {state}: the checker is not called"),
        None => "sysfs says nothing, it is being removed: the checker is not called".to_owned(),
    };
    Some((verdict, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use PathState::{Down, Pending};

    #[test]
    fn as_the_daemon() {
        for (kind, state, expected) in [
            ("scsi", Some("running"), None),
            ("scsi", Some("offline"), Some(Down)),
            ("scsi", Some("transport-offline"), Some(Down)),
            ("scsi", Some("created"), Some(Down)),
            ("scsi", Some("created-blocked"), Some(Down)),
            ("scsi", Some("cancel"), Some(Down)),
            ("scsi", Some("deleted"), Some(Down)),
            ("scsi", Some("blocked"), Some(Pending)),
            ("scsi", Some("quiesce"), Some(Pending)),
            ("scsi", None, Some(Down)),
            ("nvme", Some("live"), None),
            ("nvme", Some("dead"), Some(Down)),
            ("nvme", Some("resetting"), Some(Down)),
            ("nvme", Some("new"), Some(Pending)),
            ("nvme", Some("deleting"), Some(Pending)),
            ("nvme", None, None),
            ("virtio", Some("offline"), None),
            ("loop", None, None),
        ] {
            let info = DeviceInfo {
                kind: kind.to_owned(),
                sysfs_state: state.map(str::to_owned),
                ..DeviceInfo::file(0)
            };
            let verdict = verdict(&info);
            let found = verdict.as_ref().map(|(state, _)| *state);
            assert_eq!(found, expected, "{kind} {state:?}");
            if let (Some((_, message)), Some(state)) = (verdict, state) {
                assert!(
                    message.contains(&format!("sysfs says {state}:")),
                    "{message}"
                );
            }
        }
    }
}
