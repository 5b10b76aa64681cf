// SPDX-License-Identifier: LGPL-2.0-or-later
//! A quiesced disk: reads and writes of one path hang while TEST UNIT READY is answered.
//!
//! The kernel's SCSI target (LIO) serves one loop device through two loopback hosts, each over a
//! linear device-mapper device of its own. Suspending that device holds the reads and writes of the
//! path; the target answers all other commands itself.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::command::run;
use crate::model::PathId;

/// The driver of its hosts.
pub(super) const DRIVER: &str = "tcm_loopback";
const CONFIGFS: &str = "/sys/kernel/config";
const IMAGE: &str = "/run/lio-disk";
const SECTORS: u64 = 131_072;

/// Sets up the disk with two working paths.
pub(super) fn create() -> Result<()> {
    run(
        "modprobe",
        &[
            "-a",
            "loop",
            "dm_mod",
            "target_core_mod",
            "target_core_iblock",
            "tcm_loop",
        ],
    )?;
    run("mount", &["-t", "configfs", "configfs", CONFIGFS])?;
    fs::File::create(IMAGE)?.set_len(SECTORS * 512)?;
    let device = "/dev/loop0";
    run("losetup", &[device, IMAGE])?;
    for path in PathId::BOTH {
        let name = mapping(path);
        let table = format!("0 {SECTORS} linear {device} 0");
        run("dmsetup", &["create", &name, "--table", &table])?;
        let store = backstore(path, &format!("/dev/mapper/{name}"))?;
        publish(path, &store)?;
    }
    Ok(())
}

/// The device-mapper device under a path.
fn mapping(path: PathId) -> String {
    format!("under-{path}")
}

fn backstore(path: PathId, device: &str) -> Result<PathBuf> {
    let store = Path::new(CONFIGFS)
        .join("target/core/iblock_0")
        .join(path.to_string());
    make(&store)?;
    put(&store.join("control"), &format!("udev_path={device}"))?;
    put(&store.join("enable"), "1")?;
    // The same serial number on both paths makes them one disk.
    put(&store.join("wwn/vpd_unit_serial"), "1ab")?;
    Ok(store)
}

fn publish(path: PathId, store: &Path) -> Result<()> {
    let number = path as u8;
    let group = PathBuf::from(format!(
        "{CONFIGFS}/target/loopback/naa.500000000000000{number}/tpgt_1"
    ));
    make(&group)?;
    put(
        &group.join("nexus"),
        &format!("naa.600000000000000{number}"),
    )?;
    let unit = group.join("lun/lun_0");
    make(&unit)?;
    symlink(store, unit.join("disk")).with_context(|| unit.display().to_string())
}

/// Holds all reads and writes of a path.
pub(super) fn quiesce(path: PathId) -> Result<()> {
    // Without --noflush, suspend waits for I/O in flight.
    run(
        "dmsetup",
        &["suspend", "--noflush", "--nolockfs", &mapping(path)],
    )
}

/// Releases them; has no effect if none are held.
pub(super) fn resume(path: PathId) -> Result<()> {
    run("dmsetup", &["resume", &mapping(path)])
}

fn make(directory: &Path) -> Result<()> {
    match fs::create_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).with_context(|| directory.display().to_string())
        }
        _ => Ok(()),
    }
}

fn put(file: &Path, value: &str) -> Result<()> {
    fs::write(file, value).with_context(|| file.display().to_string())
}
