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
///     ($({ name: $name:ident, crate: $crate_name:ident, checker: $checker:ty $(, probe: $probe:ty)? })*) => {
///         [$(stringify!($name)),*]
///     };
/// }
/// assert!(checkers::for_each_checker!(names).contains(&"tur"));
/// ```
///
/// `checker` implements [`Checker`](checkers_core::Checker). `probe` is there for a checker that is a
/// [`Probe`](checkers_core::Probe) run by [`Asynchronous`]. Without the feature `gpl`, only checkers under
/// the LGPL are passed.
#[macro_export]
macro_rules! for_each_checker {
    ($($callback:tt)*) => {
        $crate::select! {
            ($($callback)*) ()
            // In the order of their importance to users: the name, what the type implements, and the type.
            tur: Probe checker_tur::Tur;
            directio: Checker checker_directio::Directio;
            readsector0: Probe checker_readsector0::Readsector0;
            rdac: Probe checker_rdac::Rdac;
            emc_clariion: Probe checker_emc_clariion::EmcClariion;
            hp_sw: Probe checker_hp_sw::HpSw;
            gpl:
            cciss_tur: Probe checker_cciss_tur::CcissTur;
        }
    };
}

macro_rules! crates {
    ($({ name: $name:ident, crate: $crate_name:ident, checker: $checker:ty $(, probe: $probe:ty)? })*) => {
        $(pub use $crate_name;)*
    };
}
for_each_checker!(crates);

macro_rules! names {
    ($({ name: $name:ident, crate: $crate_name:ident, checker: $checker:ty $(, probe: $probe:ty)? })*) => {
        &[$(<$checker as checkers_core::Checker>::NAME),*]
    };
}

/// The name of every checker, in the order of the list.
pub const NAMES: &[&str] = for_each_checker!(names);

macro_rules! asynchronous_names {
    ($({ name: $name:ident, crate: $crate_name:ident, checker: $checker:ty $(, probe: $probe:ty)? })*) => {
        &[$($(<$probe as checkers_core::Probe>::NAME,)?)*]
    };
}

/// The names of the checkers that are probes, which workers of the pool run.
pub const PROBES: &[&str] = for_each_checker!(asynchronous_names);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    macro_rules! rows {
        ($({ name: $name:ident, crate: $crate_name:ident, checker: $checker:ty $(, probe: $probe:ty)? })*) => {
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
