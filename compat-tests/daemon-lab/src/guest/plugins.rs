//! The checkers and the configuration that the guest's daemon finds.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::run;
use super::scenarios::Target;
use crate::job::{Job, SHARED};

/// Where the suites' multipath-tools look for their plugins; the first that exists is used.
pub(crate) const DIRECTORIES: [&str; 2] = ["/usr/lib/multipath", "/usr/lib64/multipath"];

/// Written in the place the distributor's tools read.
const CONFIGURATION: &str = "/etc/multipath.conf";

/// Puts our plugins over the suite's and makes the configuration a file that can be written.
pub(super) fn install(job: &Job) -> Result<()> {
    if job.own_plugins {
        bind_plugins()?;
    }
    let file = "/run/multipath.conf";
    File::create(file)?;
    run("mount", &["--bind", file, CONFIGURATION])
}

/// Writes the configuration for a daemon that has to see the disk of `target` only.
pub(super) fn configure(job: &Job, target: Target) -> Result<()> {
    fs::write(CONFIGURATION, configuration(job, target)).context(CONFIGURATION)
}

/// Binds each plugin over its namesake. One without a namesake would never be loaded.
fn bind_plugins() -> Result<()> {
    let directory = DIRECTORIES
        .iter()
        .find(|dir| Path::new(dir).is_dir())
        .context("no plugin directory")?;
    let mut bound = 0;
    for entry in fs::read_dir(Path::new(SHARED).join("plugins"))? {
        let ours = entry?.path();
        let name = ours.file_name().context("a plugin without a name")?;
        let theirs = Path::new(directory).join(name);
        if theirs.exists() {
            run(
                "mount",
                &["--bind", &ours.to_string_lossy(), &theirs.to_string_lossy()],
            )?;
            bound += 1;
        }
    }
    ensure!(
        bound > 0,
        "none of the plugins has a namesake in {directory}"
    );
    Ok(())
}

/// Everything that would add a variable of its own is switched off: the choice of another checker,
/// prioritizers that send commands, and a grouping that leaves one path without I/O.
fn configuration(job: &Job, target: Target) -> String {
    let other = match target {
        Target::ScsiDebug => "LIO-ORG",
        Target::Lio => "Linux",
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
        vendor {other}
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
"#,
        checker = job.checker.name()
    )
}
