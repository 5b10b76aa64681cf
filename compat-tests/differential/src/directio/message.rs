// SPDX-License-Identifier: LGPL-2.0-or-later

//! What the runner and a test host send each other.
#![forbid(unsafe_code)]

use super::observation::Step;
use harness::Trouble;
use harness::abi::Abi;
use harness::devices::request::{Reply, Request};
use harness::side::Side;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The runner's first message: what to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The scenario's name.
    pub(crate) scenario: String,
    /// Whose plugin it is.
    pub(crate) side: Side,
    /// The ABI by which the host calls the plugin.
    pub(crate) abi: Abi,
    /// Whether the host tells the plugin so.
    pub(crate) assume: bool,
    /// `libmultipath.so.0`, if the host has loaded it.
    pub(crate) libmultipath: Option<PathBuf>,
    /// Whether plugins see its symbols.
    pub(crate) global: bool,
    /// The plugin's file.
    pub(crate) plugin: PathBuf,
    /// Where random scenarios begin.
    pub(crate) seed: u64,
}

/// What a test host sends to the runner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// The call with this label begins: if the process ends now, the call has ended it.
    Calling(String),
    /// A step is over.
    Step(Box<Step>),
    /// A request for devices, to which the runner replies with a [`DeviceReply`].
    Devices(Request),
    /// The scenario is over.
    Ended(Result<(), Trouble>),
}

/// The runner's reply to [`Message::Devices`].
pub(crate) type DeviceReply = Result<Reply, Trouble>;
