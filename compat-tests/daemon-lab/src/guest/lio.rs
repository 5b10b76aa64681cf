//! A disk whose reads hang while TEST UNIT READY is answered, one path at a time: the quiesced disk.
//!
//! The kernel's SCSI target (LIO) serves one loop device through two loopback hosts. Under each of
//! the two lies a linear device-mapper device of its own, whose suspension holds every read and
//! write of that path. The target answers all other commands by itself.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path as FilePath, PathBuf};

use anyhow::{Context, Result};

use super::run;
use crate::event::Path;

/// The name of its hosts' driver.
pub(super) const DRIVER: &str = "tcm_loopback";
const CONFIGFS: &str = "/sys/kernel/config";
const IMAGE: &str = "/run/lio-disk";
const SECTORS: u64 = 131_072;

/// Sets the disk up; both paths work.
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
    for path in Path::BOTH {
        let name = mapping(path);
        let table = format!("0 {SECTORS} linear {device} 0");
        run("dmsetup", &["create", &name, "--table", &table])?;
        let store = backstore(path, &format!("/dev/mapper/{name}"))?;
        publish(path, &store)?;
    }
    Ok(())
}

/// The device-mapper device under a path.
fn mapping(path: Path) -> String {
    format!("under-{path}")
}

fn backstore(path: Path, device: &str) -> Result<PathBuf> {
    let store = FilePath::new(CONFIGFS)
        .join("target/core/iblock_0")
        .join(path.to_string());
    make(&store)?;
    put(&store.join("control"), &format!("udev_path={device}"))?;
    put(&store.join("enable"), "1")?;
    // One serial number makes the two one disk.
    put(&store.join("wwn/vpd_unit_serial"), "1ab")?;
    Ok(store)
}

fn publish(path: Path, store: &FilePath) -> Result<()> {
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
pub(super) fn quiesce(path: Path) -> Result<()> {
    // Without --noflush the command itself would wait for them.
    run(
        "dmsetup",
        &["suspend", "--noflush", "--nolockfs", &mapping(path)],
    )
}

/// Lets them go; no harm if none are held.
pub(super) fn resume(path: Path) -> Result<()> {
    run("dmsetup", &["resume", &mapping(path)])
}

fn make(directory: &FilePath) -> Result<()> {
    match fs::create_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).with_context(|| directory.display().to_string())
        }
        _ => Ok(()),
    }
}

fn put(file: &FilePath, value: &str) -> Result<()> {
    fs::write(file, value).with_context(|| file.display().to_string())
}
