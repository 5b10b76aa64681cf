// SPDX-License-Identifier: LGPL-2.0-or-later

//! The role `directio` of a test host: loads one plugin and runs one scenario, for the runner behind
//! its standard input.
#![forbid(unsafe_code)]

use super::driver::Driver;
use super::message::Start;
use super::scenarios;
use harness::ipc::Channel;
use harness::plugin::Plugin;
use harness::{Doing, Result, Trouble, plugin};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::process::ExitCode;

/// Runs the role.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("{trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut channel = Channel::of_host()?;
    let start: Option<Start> = channel.receive().doing("waiting for the runner")?;
    let start = start.ok_or_else(|| Trouble::Broken("the runner starts this".to_owned()))?;
    let scenario = scenarios::find(&start.scenario)?;
    if let Some(library) = &start.libmultipath {
        let scope = if start.global {
            libc::RTLD_GLOBAL
        } else {
            libc::RTLD_LOCAL
        };
        plugin::open(library, libc::RTLD_NOW | scope)?;
    }
    if start.assume {
        // A second load gives the same object: what is assumed here holds for the driver's handle.
        let plugin = Plugin::load(&start.plugin, start.abi)?;
        let answer = plugin.assume_abi(start.abi.letter().into());
        if answer != Some(0) {
            return Err(Trouble::Broken(format!(
                "libcheck_assume_abi returned {answer:?}"
            )));
        }
    }
    // Thousands of instances have thousands of descriptors; on failure the limit stays.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most.min(1 << 20), most);
    }
    let mut driver = Driver::new(start, channel)?;
    let outcome = (scenario.run)(&mut driver);
    driver.end(outcome)
}
