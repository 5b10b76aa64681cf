// SPDX-License-Identifier: LGPL-2.0-or-later
//! Runs a command in a suite's tree on this machine's kernel, for tests that need the suite's
//! libraries and plugins but neither its daemon nor a disk.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Error, Result, ensure};

use super::plugin_source::PluginSource;
use super::tree::Tree;
use crate::model::suite::PLUGIN_DIRECTORIES;

/// Runs in a mount namespace of its own, which ends with the command. Over the read-only tree lies
/// a tmpfs; /dev, /proc, /sys, the project and the current directory are bound to their usual places.
const SCRIPT: &str = r#"
set -eu
tree=$1 scratch=$2 project=$3 target=$4 plugins=$5
shift 5
here=$PWD
mount -t tmpfs tmpfs "$scratch"
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
root=$scratch/root
mount -t overlay -o "lowerdir=$tree,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$root"
for dir in /proc /sys /dev; do mount --rbind "$dir" "$root$dir"; done
for dir in "$project" "$here"; do
    if [ ! -d "$root$dir" ]; then
        mkdir -p "$root$dir"
        mount --rbind "$dir" "$root$dir"
    fi
done
if [ -n "$plugins" ]; then
    for plugin in "$plugins"/libcheck*.so; do cp "$plugin" "$root$target/"; done
fi
export PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
exec chroot "$root" /bin/sh -c 'cd "$1"; shift; exec "$@"' sh "$here" "$@"
"#;

/// Replaces this process by the command. Returns only if that fails.
pub(crate) fn exec(cache: &Path, tree: &Tree, plugins: &PluginSource, command: &[String]) -> Error {
    match prepare(cache, tree, plugins, command) {
        Ok(mut unshare) => Error::new(unshare.exec()).context("unshare"),
        Err(error) => error,
    }
}

fn prepare(
    cache: &Path,
    tree: &Tree,
    plugins: &PluginSource,
    command: &[String],
) -> Result<Command> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "--exec must run as root: it mounts and calls chroot"
    );
    let target = PLUGIN_DIRECTORIES
        .iter()
        .find(|dir| tree.root.join(dir.trim_start_matches('/')).is_dir())
        .context("the tree has no plugin directory")?;
    let scratch = cache.join("exec");
    fs::create_dir_all(&scratch)?;
    let project = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    let mut unshare = Command::new("unshare");
    unshare
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            SCRIPT,
            "lab-exec",
        ])
        .args([&tree.root, &scratch, &project])
        .arg(target)
        .arg(plugins.directory().unwrap_or(Path::new("")))
        .args(command);
    Ok(unshare)
}
