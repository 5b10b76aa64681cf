//! The multipath maps of the guest's kernel.

use std::fs;

use anyhow::{Context, Result};

use super::run;

/// The map's own node: udev's link may be missing.
pub(super) fn node() -> Result<String> {
    Ok(format!(
        "/dev/{}",
        maps()?.pop().context("no multipath map")?.0
    ))
}

pub(super) fn remove_all() -> Result<()> {
    for (_, name) in maps()? {
        run("dmsetup", &["remove", "--retry", &name])?;
    }
    Ok(())
}

/// Kernel and device-mapper names of all multipath maps.
fn maps() -> Result<Vec<(String, String)>> {
    let mut maps = Vec::new();
    for entry in fs::read_dir("/sys/block")? {
        let entry = entry?;
        let attribute = |name: &str| fs::read_to_string(entry.path().join("dm").join(name));
        if attribute("uuid").is_ok_and(|uuid| uuid.starts_with("mpath-")) {
            let kernel = entry.file_name().to_string_lossy().into_owned();
            maps.push((kernel, attribute("name")?.trim().to_owned()));
        }
    }
    Ok(maps)
}
