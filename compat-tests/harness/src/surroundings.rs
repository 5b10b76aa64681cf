// SPDX-License-Identifier: LGPL-2.0-or-later

//! What belongs to an upstream plugin: its release's libmultipath, libraries and dynamic linker.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

/// What an upstream plugin needs around it.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// `libmultipath.so.0` of the release that the plugin belongs to.
    pub libmultipath: Option<PathBuf>,
    /// Where its libraries are.
    pub libraries: Vec<PathBuf>,
    /// The dynamic linker of the C library among them, if there is one: the host then runs with
    /// that C library, newer than this machine's perhaps.
    pub loader: Option<PathBuf>,
}

impl Surroundings {
    /// Finds what belongs to an upstream plugin: `<root>/lib/multipath/libcheck….so` (or below `usr`) comes
    /// with `<root>/lib`, `<root>/usr/lib` and their directories for this architecture.
    pub fn of(plugin: &Path) -> Surroundings {
        let mut libraries = Vec::new();
        let lib = plugin.parent().and_then(Path::parent);
        let mut root = lib.and_then(Path::parent);
        if root.is_some_and(|root| root.ends_with("usr")) {
            root = root.and_then(Path::parent);
        }
        if let Some(root) = root {
            let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
            for base in ["lib", "usr/lib", "lib64", "usr/lib64"] {
                libraries.push(root.join(base));
                libraries.push(root.join(base).join(&triplet));
            }
        }
        libraries.retain(|directory| directory.is_dir());
        let libmultipath = libraries
            .iter()
            .map(|directory| directory.join("libmultipath.so.0"))
            .find(|file| file.exists());
        let loader = root
            .filter(|root| *root != Path::new("/"))
            .and_then(|root| find_loader(&root.join("usr")).or_else(|| find_loader(root)));
        Surroundings {
            libmultipath,
            libraries,
            loader,
        }
    }
}

/// The dynamic linker of a tree, whatever this architecture calls it.
fn find_loader(root: &Path) -> Option<PathBuf> {
    ["lib64", "lib"]
        .iter()
        .filter_map(|directory| std::fs::read_dir(root.join(directory)).ok())
        .flatten()
        .filter_map(|entry| entry.ok())
        .find(|entry| entry.file_name().to_string_lossy().starts_with("ld-linux"))
        .map(|entry| entry.path())
}
