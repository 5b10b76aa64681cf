//! The main program of every host executable: loads one plugin and plays one scenario.

use crate::directio::scenarios;
use crate::directio::session::{Session, Setting, Side, socket};
use harness::abi::Abi;
use harness::plugin::Plugin;
use harness::process::HostKind;
use harness::{Result, Trouble, plugin};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The host executables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Exports what 0.8.6 to 0.10.x export.
    B,
    /// Exports what 0.7.9 to 0.8.5 export: another `dlog`, no `libmp_verbosity`.
    BOld,
    /// Exports what 0.11.0 to 0.13.x export.
    C,
    /// Exports what 0.14.x exports.
    CPrime,
    /// Exports what 0.15.0 exports.
    D,
    /// Exports nothing, and says which ABI it is through `libcheck_assume_abi`.
    Assuming(Abi),
    /// Exports nothing and says nothing, but has loaded libmultipath 0.9.4 for itself alone.
    Hidden,
    /// Exports nothing and says nothing.
    Stranger,
}

impl Host {
    /// What reports call it.
    pub fn name(self) -> String {
        match self {
            Host::Assuming(abi) => format!("none, assuming {abi}"),
            Host::Hidden => "none, libmultipath hidden".to_owned(),
            Host::Stranger => "none".to_owned(),
            Host::B => Abi::V0_7_9.to_string(),
            Host::BOld => "0.7.9 before 0.8.6".to_owned(),
            Host::C => Abi::V0_11.to_string(),
            Host::CPrime => Abi::V0_14.to_string(),
            Host::D => Abi::V0_15.to_string(),
        }
    }

    /// The executable.
    pub fn kind(self) -> HostKind {
        match self {
            Host::B => HostKind::V0_8_6,
            Host::BOld => HostKind::V0_7_9,
            Host::C => HostKind::V0_11,
            Host::CPrime => HostKind::V0_14,
            Host::D => HostKind::V0_15,
            Host::Assuming(_) | Host::Hidden | Host::Stranger => HostKind::WithoutLibmultipath,
        }
    }

    /// The ABI whose protocol the host speaks.
    pub fn abi(self) -> Abi {
        match self {
            Host::B | Host::BOld | Host::Hidden | Host::Stranger => Abi::V0_7_9,
            Host::C => Abi::V0_11,
            Host::CPrime => Abi::V0_14,
            Host::D => Abi::V0_15,
            Host::Assuming(abi) => abi,
        }
    }

    /// How a real host of this kind makes libmultipath's symbols visible, as a word for the command
    /// line.
    pub fn libmultipath(self) -> Option<&'static str> {
        match self {
            Host::B => Some("global"),
            Host::Hidden => Some("local"),
            _ => None,
        }
    }
}

/// The role `directio` of a test host: loads one plugin and runs one scenario, for the runner behind
/// its standard input.
pub fn main(kind: HostKind) -> ExitCode {
    let abi = match kind {
        HostKind::V0_7_9 | HostKind::V0_8_6 | HostKind::WithoutLibmultipath => Abi::V0_7_9,
        HostKind::V0_11 => Abi::V0_11,
        HostKind::V0_14 => Abi::V0_14,
        HostKind::V0_15 => Abi::V0_15,
    };
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    match play(abi, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("{trouble}");
            ExitCode::FAILURE
        }
    }
}

fn play(abi: Abi, arguments: &[String]) -> Result<()> {
    let mut options: BTreeMap<&str, &str> = BTreeMap::new();
    for pair in arguments.chunks(2) {
        if let [name, value] = pair {
            options.insert(name, value);
        }
    }
    let option = |name: &str| {
        options
            .get(name)
            .copied()
            .ok_or_else(|| Trouble::Broken(format!("{name} is missing; the runner starts hosts")))
    };
    let scenario = scenarios::find(option("--scenario")?)?;
    let path = PathBuf::from(option("--plugin")?);
    let assumed: Option<Abi> = match options.get("--assume") {
        Some(name) => Some(name.parse()?),
        None => None,
    };
    for (name, flags) in [
        ("--libmultipath-global", libc::RTLD_NOW | libc::RTLD_GLOBAL),
        ("--libmultipath-local", libc::RTLD_NOW | libc::RTLD_LOCAL),
    ] {
        if let Some(library) = options.get(name) {
            plugin::open(Path::new(library), flags)?;
        }
    }
    let abi = assumed.unwrap_or(abi);
    if assumed.is_some() {
        // Loading it twice is loading it once: the word given here holds for the session's handle.
        let plugin = Plugin::load(&path, abi)?;
        let answer = plugin.assume_abi(abi.letter().into());
        if answer != Some(0) {
            return Err(Trouble::Broken(format!(
                "libcheck_assume_abi answered {answer:?}"
            )));
        }
    }
    let setting = Setting {
        side: if option("--side")? == "c" {
            Side::C
        } else {
            Side::Ours
        },
        abi,
        plugin: path,
        seed: option("--seed")?.parse().unwrap_or(0),
    };
    raise_descriptor_limit();
    let mut session = Session::new(setting, socket()?)?;
    let outcome = (scenario.play)(&mut session);
    session.end(&outcome)
}

/// Thousands of instances have thousands of descriptors.
fn raise_descriptor_limit() {
    // SAFETY: reads and writes a structure of this function; on failure the limit stays.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max.min(1 << 20);
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
