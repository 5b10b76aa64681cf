// SPDX-License-Identifier: LGPL-2.0-or-later

//! Starts one test host per scenario and side, makes devices for it and records its steps.
#![forbid(unsafe_code)]

use super::driver::NO_FURTHER;
use super::message::{Message, Start};
use super::observation::Step;
use super::run_host::Host;
use harness::devices::Devices;
use harness::process::{Launch, TestHost};
use harness::side::Side;
use harness::surroundings::Surroundings;
use harness::{Doing, Result, Trouble};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// How long a host may be silent before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a scenario is run that other programs disturb.
const ATTEMPTS: u32 = 5;

/// How one side of a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The host sent this.
    Ended(Result<()>),
    /// The process ended before that, or had to be ended.
    Died {
        /// The call it was in.
        during: String,
        /// What ended it.
        how: String,
    },
}

/// All that one side did.
#[derive(Clone, Debug)]
pub(crate) struct Transcript {
    /// Its steps.
    pub(crate) steps: Vec<Step>,
    /// How it ended.
    pub(crate) end: End,
    /// What its process wrote to standard error.
    pub(crate) remarks: String,
}

impl Transcript {
    /// One without steps.
    pub(crate) fn failed(trouble: Trouble) -> Transcript {
        Transcript {
            steps: Vec::new(),
            end: End::Ended(Err(trouble)),
            remarks: String::new(),
        }
    }
}

/// What is run on one side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    /// The scenario's name.
    pub(crate) scenario: &'a str,
    /// In which host.
    pub(crate) host: Host,
    /// Whose plugin.
    pub(crate) side: Side,
    /// The plugin's file.
    pub(crate) plugin: &'a Path,
    /// What belongs to upstream's plugin.
    pub(crate) surroundings: &'a Surroundings,
    /// Where random scenarios begin.
    pub(crate) seed: u64,
}

/// Runs one side of a scenario.
pub(crate) fn run(run: &Run<'_>) -> Transcript {
    for _ in 0..ATTEMPTS {
        match follow(run) {
            Err(Trouble::Disturbed) => {}
            Err(trouble) => return Transcript::failed(trouble),
            Ok(transcript) if transcript.end == End::Ended(Err(Trouble::Disturbed)) => {}
            Ok(transcript) => return transcript,
        }
    }
    let why = format!("{}, {ATTEMPTS} times in a row", Trouble::Disturbed);
    Transcript::failed(Trouble::NotHere(why))
}

fn start(run: &Run<'_>) -> Result<Start> {
    let scope = run.host.libmultipath_is_global();
    let libmultipath = run.surroundings.libmultipath.clone();
    if scope.is_some() && libmultipath.is_none() {
        let why = "no libmultipath.so.0 next to upstream's plugin";
        return Err(Trouble::NotHere(why.to_owned()));
    }
    Ok(Start {
        scenario: run.scenario.to_owned(),
        side: run.side,
        abi: run.host.abi(),
        assume: matches!(run.host, Host::Assuming(_)),
        libmultipath: libmultipath.filter(|_| scope.is_some()),
        global: scope == Some(true),
        plugin: run.plugin.to_owned(),
        seed: run.seed,
    })
}

fn follow(run: &Run<'_>) -> Result<Transcript> {
    let start = start(run)?;
    let mut command = Launch::new(run.host.kind(), "directio")?
        .with(run.surroundings)
        .command()?;
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut host = TestHost::start_with_limit(&mut command, Some(PATIENCE))?;
    let mut devices = Devices::default();
    let mut steps = Vec::new();
    let mut during = "loading the plugin".to_owned();
    let heard = match host.send(&start) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Heard::Gone),
        Err(error) => Err(error.into()),
        Ok(()) => converse(&mut host, &mut devices, &mut steps, &mut during),
    };
    // A process with reads in flight ends only when they are answered.
    devices.let_all_go();
    if matches!(heard, Ok(Heard::Silence) | Err(_)) {
        // It may have ended by itself meanwhile.
        let _ = host.process().kill();
    }
    let mut remarks = String::new();
    if let Some(mut stderr) = host.process().stderr.take() {
        // Until the process has ended; what is not text is no remark.
        let _ = stderr.read_to_string(&mut remarks);
    }
    let status = host.process().wait().doing("waiting for the host")?;
    let died = |during: &str, how: String| End::Died {
        during: during.to_owned(),
        how,
    };
    let end = match heard? {
        Heard::End(Ok(())) => {
            let undefined =
                run.side == Side::Upstream && steps.iter().any(|it| it.label == NO_FURTHER);
            match status.success() || undefined {
                true => End::Ended(Ok(())),
                false => died("the end of the process", status.to_string()),
            }
        }
        Heard::End(outcome) => End::Ended(outcome),
        Heard::Gone => died(&during, status.to_string()),
        Heard::Silence => {
            let seconds = PATIENCE.as_secs();
            died(
                &during,
                format!("sent nothing for {seconds} s and was killed"),
            )
        }
    };
    Ok(Transcript {
        steps,
        end,
        remarks,
    })
}

/// How a conversation with a host ended.
enum Heard {
    /// The host said how the scenario ended.
    End(Result<()>),
    /// Its connection is closed.
    Gone,
    /// It sends nothing any more.
    Silence,
}

/// Receives until the host has no more to send.
fn converse(
    host: &mut TestHost,
    devices: &mut Devices,
    steps: &mut Vec<Step>,
    during: &mut String,
) -> Result<Heard> {
    loop {
        let message = match host.receive() {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(Heard::Gone),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(Heard::Silence);
            }
            Err(error) => return Err(error.into()),
        };
        match message {
            Message::Calling(label) => *during = label,
            Message::Step(step) => steps.push(*step),
            Message::Ended(outcome) => return Ok(Heard::End(outcome)),
            Message::Devices(request) => match host.send(&devices.serve(request)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Heard::Gone),
                Err(error) => return Err(error.into()),
            },
        }
    }
}
