// SPDX-License-Identifier: LGPL-2.0-or-later

//! What sysfs has about a device.

use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// multipathd's time limit for a check where sysfs has none, in seconds.
pub(crate) const DEFAULT_TIMEOUT: u32 = 30;

/// What a device is, apart from its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceInfo {
    /// The bus or driver the device belongs to (scsi, nvme, dasd, virtio, loop, dm …), or file.
    pub(crate) kind: String,
    /// Whether it is a partition of such a device.
    pub(crate) partition: bool,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// How long a check of it may take, in seconds.
    pub(crate) timeout: u32,
    /// Vendor and product of a SCSI device, without trailing blanks.
    pub(crate) vendor: Option<String>,
    pub(crate) product: Option<String>,
    /// The `state` of the SCSI device or the NVMe controller.
    pub(crate) sysfs_state: Option<String>,
}

impl DeviceInfo {
    /// A regular file.
    pub(crate) fn file(size: u64) -> DeviceInfo {
        DeviceInfo {
            kind: "file".to_owned(),
            partition: false,
            size,
            timeout: DEFAULT_TIMEOUT,
            vendor: None,
            product: None,
            sysfs_state: None,
        }
    }

    /// The block device with this number, looked up below `sys`.
    pub(crate) fn block_device(sys: &Path, major: u32, minor: u32) -> DeviceInfo {
        let link = sys.join(format!("dev/block/{major}:{minor}"));
        // Followed, so that the parent of a partition is its disk.
        match fs::read_link(&link) {
            // The kernel resolves each part of a path again for every attribute, "dev/block/../.." too.
            Ok(target) => DeviceInfo::of(&match target.strip_prefix("../..") {
                Ok(directory) => sys.join(directory),
                Err(_) => sys.join("dev/block").join(target),
            }),
            Err(_) => DeviceInfo::of(&link),
        }
    }

    /// The block device whose directory in sysfs is `directory`.
    pub(crate) fn of(directory: &Path) -> DeviceInfo {
        let parent = directory.parent();
        // The directory "block" holds whole disks only; not every disk is in one.
        let in_block = parent.is_some_and(|parent| parent.ends_with("block"));
        let partition = !in_block && directory.join("partition").exists();
        let disk = parent.filter(|_| partition).unwrap_or(directory);
        let kind = kind(disk);
        let timeout = match kind.as_str() {
            // Only SCSI devices have a time limit that is the daemon's too.
            "scsi" => {
                number(disk.join("device/timeout")).and_then(|limit| u32::try_from(limit).ok())
            }
            _ => None,
        };
        let attribute = |known: bool, name: &str| {
            let file = || disk.join("device").join(name);
            known.then(file).and_then(text)
        };
        let scsi = kind == "scsi";
        DeviceInfo {
            vendor: attribute(scsi, "vendor"),
            product: attribute(scsi, "model"),
            sysfs_state: attribute(scsi || kind == "nvme", "state"),
            kind,
            partition,
            // In units of 512 bytes, whatever the block size.
            size: number(directory.join("size"))
                .unwrap_or(0)
                .saturating_mul(512),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        }
    }
}

/// The kind of the whole disk whose directory in sysfs is `disk`.
fn kind(disk: &Path) -> String {
    let name = disk.file_name().unwrap_or_default().to_string_lossy();
    // dm-0, loop0, nvme0n1, zram0, md127: what comes before the number is the driver's name.
    let driver: String = name.chars().take_while(char::is_ascii_lowercase).collect();
    let bus = fs::read_link(disk.join("device/subsystem"))
        .ok()
        .and_then(|bus| Some(bus.file_name()?.to_str()?.to_owned()));
    match bus.as_deref() {
        Some("ccw") if driver.starts_with("dasd") => "dasd".to_owned(),
        Some("nvme" | "nvme-subsystem") => "nvme".to_owned(),
        Some("scsi" | "virtio" | "mmc" | "xen" | "vmbus") => bus.unwrap_or(driver),
        _ if driver.is_empty() => "unknown".to_owned(),
        _ => driver,
    }
}

fn number(attribute: PathBuf) -> Option<u64> {
    text(attribute)?.parse().ok()
}

fn text(attribute: PathBuf) -> Option<String> {
    // Longer than any of these attributes; the kernel returns an attribute in one read.
    let mut buffer = [0; 256];
    let length = File::open(attribute).ok()?.read(&mut buffer).ok()?;
    let text = std::str::from_utf8(buffer.get(..length)?).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A disk in a made-up sysfs: its directory below `devices`, and the link by number.
    fn disk(sys: &Path, name: &str, number: &str, bus: Option<&str>) -> PathBuf {
        let directory = sys.join("devices").join(name).join("block").join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("size"), "2048\n").unwrap();
        if let Some(bus) = bus {
            let bus = sys.join("bus").join(bus);
            fs::create_dir_all(&bus).unwrap();
            symlink("../..", directory.join("device")).unwrap();
            let subsystem = sys.join("devices").join(name).join("subsystem");
            symlink(bus, subsystem).unwrap();
        }
        fs::create_dir_all(sys.join("dev/block")).unwrap();
        symlink(&directory, sys.join("dev/block").join(number)).unwrap();
        directory
    }

    #[test]
    fn kinds() {
        let sys = tempfile::tempdir().unwrap();
        for (minor, (name, bus, kind)) in (0..).zip([
            ("sda", Some("scsi"), "scsi"),
            ("sr0", Some("scsi"), "scsi"),
            ("vda", Some("virtio"), "virtio"),
            ("nvme0n1", Some("nvme"), "nvme"),
            ("nvme1n1", Some("nvme-subsystem"), "nvme"),
            ("dasda", Some("ccw"), "dasd"),
            ("scma", Some("scm"), "scma"),
            ("loop0", None, "loop"),
            ("dm-12", None, "dm"),
            ("zram0", None, "zram"),
            ("7z", None, "unknown"),
        ]) {
            disk(sys.path(), name, &format!("8:{minor}"), bus);
            let info = DeviceInfo::block_device(sys.path(), 8, minor);
            assert_eq!((info.kind.as_str(), info.size), (kind, 1 << 20), "{name}");
            assert_eq!((info.partition, info.timeout), (false, 30), "{name}");
        }
    }

    #[test]
    fn a_partition_is_of_its_disks_kind_and_time_limit() {
        let sys = tempfile::tempdir().unwrap();
        let sda = disk(sys.path(), "sda", "8:0", Some("scsi"));
        fs::write(sda.join("device/timeout"), "180\n").unwrap();
        let part = sda.join("sda1");
        fs::create_dir(&part).unwrap();
        fs::write(part.join("partition"), "1\n").unwrap();
        fs::write(part.join("size"), "8\n").unwrap();
        symlink(&part, sys.path().join("dev/block/8:1")).unwrap();
        let whole = DeviceInfo::block_device(sys.path(), 8, 0);
        assert_eq!((whole.timeout, whole.partition), (180, false));
        let info = DeviceInfo::block_device(sys.path(), 8, 1);
        assert_eq!((info.kind.as_str(), info.partition), ("scsi", true));
        assert_eq!((info.size, info.timeout), (4096, 180));
    }

    #[test]
    fn what_a_scsi_device_says_of_itself() {
        let sys = tempfile::tempdir().unwrap();
        let sda = disk(sys.path(), "sda", "8:0", Some("scsi"));
        let vda = disk(sys.path(), "vda", "254:0", Some("virtio"));
        for disk in [&sda, &vda] {
            fs::write(disk.join("device/vendor"), "DGC     \n").unwrap();
            fs::write(disk.join("device/model"), "RAID 5          \n").unwrap();
            fs::write(disk.join("device/state"), "offline\n").unwrap();
        }
        let known = |number| {
            let info = DeviceInfo::block_device(sys.path(), number, 0);
            (info.vendor, info.product, info.sysfs_state)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(known(8), (some("DGC"), some("RAID 5"), some("offline")));
        assert_eq!(known(254), (None, None, None));
    }

    #[test]
    fn a_device_that_sysfs_does_not_know() {
        let sys = tempfile::tempdir().unwrap();
        let info = DeviceInfo::block_device(sys.path(), 8, 0);
        assert_eq!(
            (info.kind.as_str(), info.size, info.timeout),
            ("unknown", 0, 30)
        );
    }
}
