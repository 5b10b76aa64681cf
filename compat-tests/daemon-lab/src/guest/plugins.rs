// SPDX-License-Identifier: LGPL-2.0-or-later
//! The plugins and the configuration of the guest's daemon.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::command::run;
use crate::model::{Checker, DiskKind, Plugins, job::SHARED, suite::PLUGIN_DIRECTORIES};

const CONFIGURATION: &str = "/etc/multipath.conf";

/// Binds our plugins over the suite's, if they are to be used, and a writable file over the
/// configuration.
pub(super) fn install(plugins: Plugins) -> Result<()> {
    if plugins == Plugins::Ours {
        bind_plugins()?;
    }
    let file = "/run/multipath.conf";
    File::create(file)?;
    run("mount", &["--bind", file, CONFIGURATION])
}

/// Writes the configuration for a daemon that uses only this kind of disk.
pub(super) fn configure(checker: Checker, disk: DiskKind) -> Result<()> {
    fs::write(CONFIGURATION, configuration(checker, disk)).context(CONFIGURATION)
}

/// Binds each plugin over the suite's plugin of the same name. multipathd would not load a plugin
/// of another name.
fn bind_plugins() -> Result<()> {
    let directory = PLUGIN_DIRECTORIES
        .iter()
        .find(|dir| Path::new(dir).is_dir())
        .context("no plugin directory")?;
    let mut bound = 0;
    for entry in fs::read_dir(Path::new(SHARED).join("plugins"))? {
        let ours = entry?.path();
        let name = ours.file_name().context("a plugin without a name")?;
        let upstream = Path::new(directory).join(name);
        if upstream.exists() {
            let (ours, upstream) = (ours.to_string_lossy(), upstream.to_string_lossy());
            run("mount", &["--bind", &ours, &upstream])?;
            bound += 1;
        }
    }
    ensure!(
        bound > 0,
        "{directory} has no plugin of the same name as one of ours"
    );
    Ok(())
}

/// A configuration without detection of checkers, without prioritizers that send commands, and with
/// all paths in one group, so that I/O uses both.
fn configuration(checker: Checker, disk: DiskKind) -> String {
    let other_vendor = match disk {
        DiskKind::ScsiDebug => "LIO-ORG",
        DiskKind::Lio => "Linux",
    };
    format!(
        r#"defaults {{
    find_multipaths no
    polling_interval 1
    max_polling_interval 1
    checker_timeout 3
    queue_without_daemon yes
    user_friendly_names yes
}}
blacklist {{
    device {{
        vendor {other_vendor}
        product .*
    }}
}}
overrides {{
    path_checker {checker}
    detect_checker no
    prio const
    detect_prio no
    path_grouping_policy multibus
    no_path_retry queue
}}
"#
    )
}
