// SPDX-License-Identifier: LGPL-2.0-or-later

//! Hosts in the role `bench`, as the program that runs them sees them.

#![forbid(unsafe_code)]

use crate::protocol::Request;
use harness::abi::Abi;
use harness::process::{HostKind, Launch, TestHost};
use harness::surroundings::Surroundings;
use harness::{Doing, Result, Trouble};
use serde::de::DeserializeOwned;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;

/// A running host. Dropping it closes its input, and it ends.
pub struct Host(TestHost);

/// The command that runs a host of this ABI, behind the words of `wrapper`. For an upstream plugin the
/// host runs with the libraries of the plugin's release, the C library included.
///
/// # Errors
/// When the executable is missing.
pub fn command(abi: Abi, upstream: Option<&Path>, wrapper: &[&str]) -> Result<Command> {
    let mut launch = Launch::new(HostKind::from(abi), "bench")?;
    launch.surroundings = upstream.map(Surroundings::of);
    launch.wrapper = wrapper.iter().map(Into::into).collect();
    launch.command()
}

impl Host {
    /// Starts a host.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(mut command: Command) -> Result<Host> {
        TestHost::start(&mut command).map(Host)
    }

    /// Makes a request and waits for the reply, of the type that [`Request`] names.
    ///
    /// # Errors
    /// When the host could not do it, or has died.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T> {
        self.begin(request)?;
        self.finish(request)
    }

    /// Makes a request, whose reply [`Host::finish`] reads.
    ///
    /// # Errors
    /// When the host has died.
    pub fn begin(&mut self, request: &Request) -> Result<()> {
        self.0.send(request).doing("asking a host")
    }

    /// Waits for the reply to a request.
    ///
    /// # Errors
    /// As [`Host::ask`].
    pub fn finish<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T> {
        let reply = self.0.receive().doing(&format!("{request:?}"))?;
        let died = || Trouble::Broken(format!("a host died in {request:?}"));
        let reply: Result<T> = reply.ok_or_else(died)?;
        reply.map_err(|trouble| match trouble {
            Trouble::Broken(why) => Trouble::Broken(format!("{request:?}: {why}")),
            other => other,
        })
    }

    /// Ends the host and waits for it.
    ///
    /// # Errors
    /// When the exit code is not 0.
    pub fn end(self) -> Result<()> {
        self.0.end()
    }
}

impl Deref for Host {
    type Target = TestHost;

    fn deref(&self) -> &TestHost {
        &self.0
    }
}

impl DerefMut for Host {
    fn deref_mut(&mut self) -> &mut TestHost {
        &mut self.0
    }
}
