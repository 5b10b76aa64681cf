//! Debian trees: made once by debootstrap, kept between runs, never written to by a guest.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::ValueEnum;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

/// A Debian suite, and with it a release of multipath-tools.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Suite {
    /// multipath-tools 0.8.5, glibc 2.31
    Bullseye,
    /// multipath-tools 0.9.4
    Bookworm,
    /// multipath-tools 0.11.1
    Trixie,
    /// multipath-tools 0.15 or whatever is newest
    Sid,
}

impl Suite {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Suite::Bullseye => "bullseye",
            Suite::Bookworm => "bookworm",
            Suite::Trixie => "trixie",
            Suite::Sid => "sid",
        }
    }

    /// Where its packages are looked for, in this order. A suite that has reached its end of life
    /// moves from the mirrors to the archive.
    fn mirrors(self) -> Vec<String> {
        let of = |variable, default: &str| std::env::var(variable).unwrap_or(default.to_owned());
        let mut mirrors = vec![of("DEBIAN_MIRROR", "http://deb.debian.org/debian")];
        if self == Suite::Bullseye {
            mirrors.push(of("DEBIAN_ARCHIVE", "http://archive.debian.org/debian"));
        }
        mirrors
    }
}

/// What a tree holds besides the minimal base system.
const PACKAGES: &str = "multipath-tools,kmod,udev,dmsetup,sg3-utils";
/// The packages whose versions decide what a run means.
const SHOWN: [&str; 5] = ["multipath-tools", "libc6", "libaio1", "libaio1t64", "udev"];
/// Places a guest mounts something on; the tree itself is read-only there.
const MOUNT_POINTS: [&str; 4] = ["lab", "etc/multipath", "usr/lib/modules", "var/tmp"];
/// Written last into a finished tree; a tree with another content is made anew.
const STAMP: (&str, &str) = ("etc/lab-tree", "1\n");

/// A finished tree.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    /// Name and version of the packages that matter.
    pub(crate) packages: Vec<(String, String)>,
}

/// Installs the two programs the lab needs, if they are missing and that is allowed.
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

/// The tree of a suite, from the cache or made now.
pub(crate) fn prepare(cache: &Path, suite: Suite, rebuild: bool) -> Result<Tree> {
    let trees = cache.join("trees");
    fs::create_dir_all(&trees)?;
    let root = trees.join(suite.name());
    let lock = File::create(trees.join(format!("{}.lock", suite.name())))?;
    let Ok(_lock) = Flock::lock(lock, FlockArg::LockExclusive) else {
        bail!("cannot lock {}", trees.display());
    };
    let (stamp, content) = STAMP;
    let usable = fs::read_to_string(root.join(stamp)).is_ok_and(|found| found == content);
    if rebuild || !usable {
        build(&trees, suite, &root).with_context(|| format!("no tree for {}", suite.name()))?;
    }
    Ok(Tree {
        packages: packages(&root)?,
        root,
    })
}

fn build(trees: &Path, suite: Suite, root: &Path) -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "debootstrap has to run as root"
    );
    let part = trees.join(format!("{}.part", suite.name()));
    let log = trees.join(format!("{}.log", suite.name()));
    let mut made = Err(anyhow!("no mirror"));
    for mirror in suite.mirrors() {
        remove(&part)?;
        made = debootstrap(&log, suite, &part, &mirror);
        match &made {
            Ok(()) => break,
            Err(error) => eprintln!("lab: {}: {mirror}: {error:#}", suite.name()),
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
    eprintln!(
        "lab: making a tree for {} from {mirror}: about a minute",
        suite.name()
    );
    let mut child = Command::new("debootstrap")
        .args([
            "--variant=minbase",
            &format!("--include={PACKAGES}"),
            suite.name(),
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
                eprintln!("lab: {}: {steps} steps of about 450", suite.name());
            }
        }
    }
    if !child.wait()?.success() {
        let text = fs::read_to_string(log).unwrap_or_default();
        let last = text.lines().last().unwrap_or("no word");
        bail!("debootstrap: {last} (all of it: {})", log.display());
    }
    Ok(())
}

/// Removes a tree, but nothing that an interrupted debootstrap has left mounted in it.
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

/// Names and versions as a text.
pub(crate) fn list(packages: &[(String, String)]) -> String {
    let words = packages
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    words.collect::<Vec<_>>().join(", ")
}

fn packages(root: &Path) -> Result<Vec<(String, String)>> {
    let status = fs::read_to_string(root.join("var/lib/dpkg/status"))?;
    let field = |entry: &str, name: &str| {
        entry
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(|value| value.trim().to_owned())
    };
    let found: Vec<_> = status
        .split("\n\n")
        .filter_map(|entry| Some((field(entry, "Package:")?, field(entry, "Version:")?)))
        .filter(|(package, _)| SHOWN.contains(&package.as_str()))
        .collect();
    ensure!(
        found
            .iter()
            .any(|(package, _)| package == "multipath-tools"),
        "no multipath-tools"
    );
    Ok(found)
}
