// SPDX-License-Identifier: LGPL-2.0-or-later

//! The list of all path checkers, the only place that names each of them.
//!
//! Whatever needs every checker (the plugins' tests, the library form, `pathcheck`, the fuzz targets)
//! calls [`for_each_checker!`]. A new checker is a crate `checker-NAME` with its plugin in
//! `checker-NAME/plugin`, a dependency of this crate, and one line in the list below.

#![forbid(unsafe_code)]

mod select;

#[doc(hidden)]
pub use checkers_core::Asynchronous;

/// Calls a macro with every checker:
///
/// ```
/// macro_rules! names {
///     ($({ $name:ident $crate_name:ident $checker:ty $(, probe $probe:ty)? $(, scsi $scsi:ty)? })*) => {
///         [$(stringify!($name)),*]
///     };
/// }
/// assert!(checkers::for_each_checker!(names).contains(&"tur"));
/// ```
///
/// A row has the checker's name, the name of its crate, and its type, which implements
/// [`Checker`](checkers_core::Checker). `probe` follows for a [`Probe`](checkers_core::Probe) that is run by
/// [`Asynchronous`], and `scsi` if it is a [`ScsiProbe`](checkers_core::ScsiProbe) too. Without the feature
/// `gpl`, only checkers under the LGPL are passed.
#[macro_export]
macro_rules! for_each_checker {
    ($($callback:tt)*) => {
        $crate::select! {
            ($($callback)*) ()
            // The name, what the type implements, and the type.
            tur: ScsiProbe checker_tur::Tur;
            directio: Checker checker_directio::Directio;
            readsector0: ScsiProbe checker_readsector0::Readsector0;
            rdac: ScsiProbe checker_rdac::Rdac;
            emc_clariion: ScsiProbe checker_emc_clariion::EmcClariion;
            hp_sw: ScsiProbe checker_hp_sw::HpSw;
            gpl:
            cciss_tur: Probe checker_cciss_tur::CcissTur;
        }
    };
}

macro_rules! crates {
    ($({ $name:ident $crate_name:ident $checker:ty $(, probe $probe:ty)? $(, scsi $scsi:ty)? })*) => {
        $(pub use $crate_name;)*
    };
}
for_each_checker!(crates);

macro_rules! names {
    ($({ $name:ident $crate_name:ident $checker:ty $(, probe $probe:ty)? $(, scsi $scsi:ty)? })*) => {
        &[$(<$checker as checkers_core::Checker>::NAME),*]
    };
}

/// The name of every checker, in the order of the list.
pub const NAMES: &[&str] = for_each_checker!(names);

macro_rules! probe_names {
    ($({ $name:ident $crate_name:ident $checker:ty $(, probe $probe:ty)? $(, scsi $scsi:ty)? })*) => {
        &[$($(<$probe as checkers_core::Probe>::NAME,)?)*]
    };
}

/// The names of the checkers that are probes, which workers of the pool run.
pub const PROBES: &[&str] = for_each_checker!(probe_names);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    macro_rules! rows {
        ($({ $name:ident $crate_name:ident $checker:ty $(, probe $probe:ty)? $(, scsi $scsi:ty)? })*) => {
            [$((stringify!($name), stringify!($crate_name))),*]
        };
    }

    #[test]
    fn a_checker_has_its_own_name_in_the_list_and_in_its_crate() {
        let rows = for_each_checker!(rows);
        assert_eq!(rows.len(), NAMES.len());
        for ((name, crate_name), own) in rows.into_iter().zip(NAMES) {
            assert_eq!(name, *own);
            assert_eq!(crate_name, format!("checker_{name}"));
        }
    }

    /// With the feature `gpl`, as in every build of the whole workspace.
    #[test]
    fn the_list_has_every_checker_that_has_a_crate_and_a_plugin() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut found = BTreeSet::new();
        for entry in crates.read_dir().unwrap() {
            let folder = entry.unwrap().path();
            let folder_name = folder.file_name().unwrap().to_string_lossy().into_owned();
            if let Some(name) = folder_name.strip_prefix("checker-") {
                assert!(
                    folder.join("plugin/Cargo.toml").exists(),
                    "{folder_name} has no plugin"
                );
                found.insert(name.replace('-', "_"));
            }
        }
        if cfg!(feature = "gpl") {
            assert_eq!(found, NAMES.iter().map(|name| (*name).to_owned()).collect());
        }
    }
}
