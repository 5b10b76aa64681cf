// SPDX-License-Identifier: LGPL-2.0-or-later
//! Debian trees: made once by debootstrap, kept between runs, read-only for guests.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::ScopedJoinHandle;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::fcntl::{Flock, FlockArg};

use crate::model::{Package, Suite, suite::package_list};

/// The package mirrors of a suite, in the order in which they are tried. A suite that has reached
/// its end of life moves from the mirrors to the archive.
fn mirrors(suite: Suite) -> Vec<String> {
    let of = |variable, default: &str| std::env::var(variable).unwrap_or(default.to_owned());
    let mut mirrors = vec![of("DEBIAN_MIRROR", "http://deb.debian.org/debian")];
    if suite == Suite::Bullseye {
        mirrors.push(of("DEBIAN_ARCHIVE", "http://archive.debian.org/debian"));
    }
    mirrors
}

/// The packages in a tree besides the minimal base system.
const PACKAGES: &str = "multipath-tools,kmod,udev,dmsetup,sg3-utils";
/// The packages whose versions are reported.
const REPORTED: [&str; 5] = ["multipath-tools", "libc6", "libaio1", "libaio1t64", "udev"];
/// Mount points of a guest, which cannot create them in a read-only tree.
const MOUNT_POINTS: [&str; 4] = ["lab", "etc/multipath", "usr/lib/modules", "var/tmp"];
/// A file, and its content in a complete tree. Any other content causes a rebuild.
const STAMP: (&str, &str) = ("etc/lab-tree", "1\n");

/// Where trees come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trees {
    /// From the cache if they are there, else built.
    FromCache,
    /// Built even if they are in the cache.
    Rebuild,
}

/// A complete tree.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    /// Those of the reported packages that it has.
    pub(crate) packages: Vec<Package>,
}

/// Installs the two programs that the lab needs, if they are missing.
///
/// # Errors
/// When they cannot be installed, for example without root.
pub(crate) fn install_tools() -> Result<()> {
    let missing: Vec<&str> = [
        ("linux.uml", "user-mode-linux"),
        ("debootstrap", "debootstrap"),
    ]
    .into_iter()
    .filter(|(program, _)| !on_path(program))
    .map(|(_, package)| package)
    .collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("lab: installing {}", missing.join(" "));
    let install = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/apt-install");
    let status = Command::new(install)
        .args(&missing)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("scripts/apt-install")?;
    ensure!(
        status.success(),
        "{} cannot be installed here",
        missing.join(" and ")
    );
    Ok(())
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .any(|dir| dir.join(program).is_file())
}

/// The trees of these suites; they are built at the same time. Prints their packages, and which
/// suites have no tree.
pub(crate) fn prepare_all(cache: &Path, suites: &[Suite], trees: Trees) -> BTreeMap<Suite, Tree> {
    let prepare = |&suite| (suite, prepare(cache, suite, trees));
    let prepared: Vec<(Suite, Result<Tree>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = suites
            .iter()
            .map(|suite| (suite, scope.spawn(move || prepare(suite))))
            .collect();
        let join = |(suite, thread): (&Suite, ScopedJoinHandle<_>)| {
            let panicked = |_| (*suite, Err(anyhow!("the thread panicked")));
            thread.join().unwrap_or_else(panicked)
        };
        threads.into_iter().map(join).collect()
    });
    let mut trees = BTreeMap::new();
    for (suite, tree) in prepared {
        match tree {
            Ok(tree) => {
                eprintln!("{suite}: {}", package_list(&tree.packages));
                trees.insert(suite, tree);
            }
            Err(error) => eprintln!("NOT RUN: {suite}: {error:#}"),
        }
    }
    trees
}

/// The tree of one suite. Building takes about a minute.
fn prepare(cache: &Path, suite: Suite, source: Trees) -> Result<Tree> {
    let trees = cache.join("trees");
    fs::create_dir_all(&trees)?;
    let root = trees.join(suite.to_string());
    let lock = File::create(trees.join(format!("{suite}.lock")))?;
    let Ok(_lock) = Flock::lock(lock, FlockArg::LockExclusive) else {
        bail!("cannot lock {}", trees.display());
    };
    let (stamp, content) = STAMP;
    let usable = fs::read_to_string(root.join(stamp)).is_ok_and(|found| found == content);
    if source == Trees::Rebuild || !usable {
        build(&trees, suite, &root).with_context(|| format!("no tree for {suite}"))?;
    }
    Ok(Tree {
        packages: packages(&root)?,
        root,
    })
}

fn build(trees: &Path, suite: Suite, root: &Path) -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "debootstrap must run as root"
    );
    let part = trees.join(format!("{suite}.part"));
    let log = trees.join(format!("{suite}.log"));
    let mut made = Err(anyhow!("no mirror"));
    for mirror in mirrors(suite) {
        remove(&part)?;
        made = debootstrap(&log, suite, &part, &mirror);
        match &made {
            Ok(()) => break,
            Err(error) => eprintln!("lab: {suite}: {mirror}: {error:#}"),
        }
    }
    made?;
    for point in MOUNT_POINTS {
        fs::create_dir_all(part.join(point))?;
    }
    File::create(part.join("etc/multipath.conf"))?;
    let (stamp, content) = STAMP;
    fs::write(part.join(stamp), content)?;
    remove(root)?;
    fs::rename(&part, root)?;
    Ok(())
}

fn debootstrap(log: &Path, suite: Suite, part: &Path, mirror: &str) -> Result<()> {
    eprintln!("lab: making a tree for {suite} from {mirror}: about a minute");
    let mut child = Command::new("debootstrap")
        .args([
            "--variant=minbase",
            &format!("--include={PACKAGES}"),
            &suite.to_string(),
        ])
        .arg(part)
        .arg(mirror)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("debootstrap")?;
    let mut log_file = File::create(log)?;
    let mut steps = 0;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            writeln!(log_file, "{}", line?)?;
            steps += 1;
            if steps % 100 == 0 {
                eprintln!("lab: {suite}: {steps} steps of about 450");
            }
        }
    }
    if !child.wait()?.success() {
        let text = fs::read_to_string(log).unwrap_or_default();
        let last = text.lines().last().unwrap_or("no output");
        bail!("debootstrap: {last} (full log: {})", log.display());
    }
    Ok(())
}

/// Removes a tree. File systems that an interrupted debootstrap left mounted in it are not touched.
fn remove(tree: &Path) -> Result<()> {
    let status = Command::new("rm")
        .args(["-rf", "--one-file-system", "--"])
        .arg(tree)
        .status()?;
    ensure!(
        status.success() && !tree.exists(),
        "cannot remove {}",
        tree.display()
    );
    Ok(())
}

fn packages(root: &Path) -> Result<Vec<Package>> {
    let status = fs::read_to_string(root.join("var/lib/dpkg/status"))?;
    let field = |entry: &str, name: &str| {
        let value = entry.lines().find_map(|line| line.strip_prefix(name));
        value.map(|value| value.trim().to_owned())
    };
    let package = |entry| {
        Some(Package {
            name: field(entry, "Package:")?,
            version: field(entry, "Version:")?,
        })
    };
    let found: Vec<Package> = status
        .split("\n\n")
        .filter_map(package)
        .filter(|package| REPORTED.contains(&package.name.as_str()))
        .collect();
    ensure!(
        found
            .iter()
            .any(|package| package.name == "multipath-tools"),
        "no multipath-tools"
    );
    Ok(found)
}
