// SPDX-License-Identifier: LGPL-2.0-or-later

//! The disks that the kernel lists.

use crate::device_info::DeviceInfo;
use std::cmp::Ordering;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

/// A disk from the kernel's list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    /// The path of its device node.
    pub(crate) device: OsString,
    pub(crate) info: DeviceInfo,
    /// Why there is nothing to check, if there is not.
    pub(crate) empty: Option<&'static str>,
}

/// All whole disks below `sys`: hardware first, each kind together, sorted by name with numbers
/// in numeric order.
///
/// # Errors
/// When the list cannot be read.
pub(crate) fn disks(sys: &Path) -> io::Result<Vec<Disk>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(sys.join("block"))? {
        // A disk that goes away meanwhile is not on the list.
        let Ok(entry) = entry else { continue };
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // Resolved, as the entries are links.
        let Ok(directory) = fs::canonicalize(entry.path()) else {
            continue;
        };
        // The paths below a native NVMe multipath device have no node of their own.
        if fs::read_to_string(directory.join("hidden")).is_ok_and(|is| is.trim() == "1") {
            continue;
        }
        let without_hardware = !directory.join("device").exists();
        found.push((without_hardware, DeviceInfo::of(&directory), name));
    }
    found.sort_by(|(no_a, info_a, a), (no_b, info_b, b)| {
        (no_a, &info_a.kind)
            .cmp(&(no_b, &info_b.kind))
            .then_with(|| natural(a, b))
    });
    let disks = found.into_iter().map(|(_, info, name)| Disk {
        // The kernel writes a slash in a device's name (cciss/c0d0) as an exclamation mark.
        device: format!("/dev/{}", name.replace('!', "/")).into(),
        empty: match info.kind.as_str() {
            _ if info.size > 0 => None,
            "loop" => Some("no file is attached"),
            // The size of a dead path may be unknown, and only opening a drive shows whether it has a
            // medium.
            "scsi" => None,
            _ => Some("its size is 0"),
        },
        info,
    });
    Ok(disks.collect())
}

/// Compares names by their runs of digits, as numbers, and of other characters, the shorter first:
/// sdz before sdaa, loop9 before loop10.
fn natural(a: &str, b: &str) -> Ordering {
    runs(a).cmp(runs(b))
}

/// The runs of a name, each with its length, leading zeroes aside.
fn runs(name: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = name;
    std::iter::from_fn(move || {
        let digits = rest.chars().next()?.is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != digits)
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        let run = if digits {
            run.trim_start_matches('0')
        } else {
            run
        };
        Some((run.len(), run))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_people_count() {
        for sorted in [
            ["sda", "sdb", "sdz", "sdaa"],
            ["loop0", "loop9", "loop10", "loop010x"],
            ["nvme2n9", "nvme2n10", "nvme10n1", "nvme10n2"],
        ] {
            let mut names = sorted;
            names.reverse();
            names.sort_by(|a, b| natural(a, b));
            assert_eq!(names, sorted);
        }
    }

    #[test]
    fn lists_nodes_and_says_which_are_empty() {
        let sys = tempfile::tempdir().unwrap();
        for (name, size, hidden) in [
            ("zram0", "0", "0"),
            ("loop0", "0", "0"),
            ("vda", "2048", "0"),
            ("cciss!c0d0", "8", "0"),
            ("nvme0c0n1", "2048", "1"),
        ] {
            let directory = sys.path().join("block").join(name);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("size"), size).unwrap();
            fs::write(directory.join("hidden"), hidden).unwrap();
            if name == "vda" {
                fs::create_dir(directory.join("device")).unwrap();
            }
        }
        let listed: Vec<_> = disks(sys.path())
            .unwrap()
            .into_iter()
            .map(|disk| (disk.device.into_string().unwrap(), disk.empty))
            .collect();
        assert_eq!(
            listed,
            [
                ("/dev/vda".to_owned(), None),
                ("/dev/cciss/c0d0".to_owned(), None),
                ("/dev/loop0".to_owned(), Some("no file is attached")),
                ("/dev/zram0".to_owned(), Some("its size is 0")),
            ]
        );
        assert!(disks(&sys.path().join("nowhere")).is_err());
    }
}
