// SPDX-License-Identifier: LGPL-2.0-or-later
//! The multipath maps of the guest's kernel.

use std::fs;

use anyhow::{Context, Result};

use super::command::run;

/// The kernel's node of the map. The link that udev makes may be missing.
pub(super) fn node() -> Result<String> {
    let map = maps()?.pop().context("no multipath map")?;
    Ok(format!("/dev/{}", map.kernel_name))
}

/// Removes all multipath maps.
pub(super) fn remove_all() -> Result<()> {
    for map in maps()? {
        run("dmsetup", &["remove", "--retry", &map.name])?;
    }
    Ok(())
}

struct Map {
    kernel_name: String,
    name: String,
}

fn maps() -> Result<Vec<Map>> {
    let mut maps = Vec::new();
    for entry in fs::read_dir("/sys/block")? {
        let entry = entry?;
        let attribute = |name: &str| fs::read_to_string(entry.path().join("dm").join(name));
        if attribute("uuid").is_ok_and(|uuid| uuid.starts_with("mpath-")) {
            maps.push(Map {
                kernel_name: entry.file_name().to_string_lossy().into_owned(),
                name: attribute("name")?.trim().to_owned(),
            });
        }
    }
    Ok(maps)
}
