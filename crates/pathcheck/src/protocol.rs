// SPDX-License-Identifier: LGPL-2.0-or-later

//! The messages between the two processes, over the worker's standard input and output.
//!
//! The request is a line of JSON, then the devices' names, each with a NUL at its end. Each line of the
//! reports is a list of them in JSON.

use crate::choice::Choice;
use crate::device_info::DeviceInfo;
use crate::outcome::Outcome;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

/// How devices are to be checked, all of them alike.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Options {
    /// The checker's name, unless the one that suits the device is wanted.
    pub(crate) checker: Option<String>,
    /// Whether a checker may change the device's settings, as rdac's does.
    pub(crate) mode_select: bool,
    /// The time limit in seconds, unless the device's own applies.
    pub(crate) timeout: Option<u32>,
    /// The devices come from the kernel's list; the user has named none.
    pub(crate) listed: bool,
}

/// One device to check.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The file's path, as the user or the kernel's list gave it.
    pub(crate) device: OsString,
    pub(crate) options: Arc<Options>,
}

/// The line before the devices' names.
#[derive(Serialize, Deserialize)]
struct Header {
    options: Options,
    devices: usize,
}

/// An event of the job at an index of the request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) job: usize,
    pub(crate) event: Event,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    /// This step has begun, and may block.
    Begins(Step),
    /// What the device is.
    Found(DeviceInfo),
    /// The job is done.
    Ended(Outcome),
}

/// A step of a job that a dead device can block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    Find,
    Open,
    Check,
}

/// The request to check these devices.
///
/// # Errors
/// Never: every option can be written as JSON. The `Result` is serde's.
pub(crate) fn request(options: &Options, devices: &[&OsStr]) -> io::Result<Vec<u8>> {
    let header = Header {
        options: options.clone(),
        devices: devices.len(),
    };
    let mut request = serde_json::to_vec(&header)?;
    request.push(b'\n');
    for device in devices {
        request.write_all(device.as_bytes())?;
        request.push(0);
    }
    Ok(request)
}

/// Reads a request.
///
/// # Errors
/// When there is none, or only a part of one.
pub(crate) fn read_request(from: &mut impl BufRead) -> io::Result<Vec<Job>> {
    let mut header = String::new();
    from.read_line(&mut header)?;
    let Header { options, devices } = serde_json::from_str(&header)?;
    let options = Arc::new(options);
    let job = |_| {
        let mut device = Vec::new();
        from.read_until(0, &mut device)?;
        match device.pop() {
            Some(0) => Ok(Job {
                device: OsString::from_vec(device),
                options: Arc::clone(&options),
            }),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    };
    (0..devices).map(job).collect()
}

impl Report {
    pub(crate) fn new(job: usize, event: Event) -> Report {
        Report { job, event }
    }
}

impl Job {
    /// The checker for this device, as far as it is known what the device is.
    pub(crate) fn choice(&self, info: Option<&DeviceInfo>) -> Option<Choice> {
        match &self.options.checker {
            Some(checker) => Some(Choice::asked_for(checker)),
            None => info.map(Choice::for_device),
        }
    }
}

impl Step {
    /// The step as the subject of a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Step::Find => "looking the file up",
            Step::Open => "opening the device",
            Step::Check => "starting the check",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_arrive_whole_or_not_at_all() {
        let options = Options {
            checker: Some("tur".to_owned()),
            timeout: Some(7),
            ..Options::default()
        };
        let names = [&b"/dev/sda"[..], b"", b"two\nlines", b"\xff\xfe"].map(OsStr::from_bytes);
        let request = request(&options, &names).unwrap();
        let jobs = read_request(&mut request.as_slice()).unwrap();
        let devices: Vec<_> = jobs.iter().map(|job| job.device.as_os_str()).collect();
        assert_eq!(devices, names);
        for job in jobs {
            assert_eq!(job.options.checker.as_deref(), Some("tur"));
            assert_eq!((job.options.timeout, job.options.listed), (Some(7), false));
        }
        for length in 0..request.len() {
            let part = request.get(..length).unwrap();
            assert!(read_request(&mut &*part).is_err(), "{length}");
        }
    }
}
