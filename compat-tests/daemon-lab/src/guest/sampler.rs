// SPDX-License-Identifier: LGPL-2.0-or-later
//! Asks the daemon for its paths ten times a second and measures its process.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::daemon;
use super::disk::Address;
use super::reporter::Reporter;
use super::wait::millis;
use crate::model::{CheckerState, DmState, Event, Figure, PathId, PathView};

const PERIOD: Duration = Duration::from_millis(100);
/// The limit for a reply.
const REPLY_LIMIT: Duration = Duration::from_secs(120);

pub(super) struct Sampler {
    samples: Arc<Mutex<Samples>>,
    stop: Arc<AtomicBool>,
}

/// The last view of each path, and the largest figures.
#[derive(Default)]
struct Samples {
    paths: [Option<PathView>; 2],
    figures: BTreeMap<Figure, u64>,
}

impl Sampler {
    /// Starts to sample the daemon with this process id. `disk` has the addresses of the two paths.
    pub(super) fn start(pid: u32, disk: [Address; 2], reporter: Reporter) -> Sampler {
        let samples = Arc::new(Mutex::new(Samples::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let sampler = Sampler {
            samples: Arc::clone(&samples),
            stop: Arc::clone(&stop),
        };
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                sample(pid, &disk, &reporter, &samples, &stop);
                std::thread::sleep(PERIOD);
            }
        });
        sampler
    }

    /// A path at the last sample; `None` if the daemon does not know it.
    pub(super) fn view(&self, path: PathId) -> Option<PathView> {
        let samples = self.samples.lock().ok()?;
        path.of(&samples.paths).clone()
    }

    /// The largest values so far.
    pub(super) fn figures(&self) -> BTreeMap<Figure, u64> {
        self.samples
            .lock()
            .map(|samples| samples.figures.clone())
            .unwrap_or_default()
    }
}

impl Drop for Sampler {
    /// Does not join the thread, which may be waiting for the daemon's reply.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn sample(
    pid: u32,
    disk: &[Address; 2],
    reporter: &Reporter,
    samples: &Mutex<Samples>,
    stop: &AtomicBool,
) {
    let begin = Instant::now();
    let reply = daemon::send_command("show paths raw format %i|%d|%t|%T|%o", REPLY_LIMIT);
    let reply_time = millis(begin.elapsed());
    // A daemon that is starting or stopping does not reply. The last sample stays.
    let Ok(reply) = reply else { return };
    if stop.load(Ordering::Relaxed) {
        return;
    }
    let Some(paths) = parse(&reply, disk) else {
        return;
    };
    let Ok(mut samples) = samples.lock() else {
        return;
    };
    for ((path, old), view) in PathId::BOTH.into_iter().zip(&mut samples.paths).zip(paths) {
        if *old != view {
            old.clone_from(&view);
            reporter.send(Event::Path { path, view });
        }
    }
    let mut figures = process_figures(pid);
    figures.push((Figure::SlowestReply, reply_time));
    for (figure, value) in figures {
        let largest = samples.figures.entry(figure).or_default();
        *largest = value.max(*largest);
    }
}

/// The two paths in a reply; `None` if the reply is an error such as "timeout" or "fail".
fn parse(reply: &str, disk: &[Address; 2]) -> Option<[Option<PathView>; 2]> {
    let mut paths = [None, None];
    for line in reply.lines().filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [address, device, dm, checker, scsi] = fields.as_slice() else {
            return None;
        };
        for (view, _) in paths.iter_mut().zip(disk).filter(|(_, a)| a.is(address)) {
            *view = Some(PathView {
                device: device.to_string(),
                dm: DmState::of_name(dm),
                checker: CheckerState::new(checker),
                scsi: scsi.to_string(),
            });
        }
    }
    Some(paths)
}

fn process_figures(pid: u32) -> Vec<(Figure, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let fds = fs::read_dir(format!("/proc/{pid}/fd"))
        .ok()
        .map(|fds| fds.count() as u64);
    let aio = fs::read_to_string("/proc/sys/fs/aio-nr").ok();
    [
        (Figure::Threads, field("Threads:")),
        (Figure::VmRss, field("VmRSS:")),
        (Figure::VmLck, field("VmLck:")),
        (Figure::OpenFds, fds),
        (Figure::AioNr, aio.and_then(|text| text.trim().parse().ok())),
    ]
    .into_iter()
    .filter_map(|(figure, value)| Some((figure, value?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> [Address; 2] {
        [Address::new("2:0:0:0"), Address::new("3:0:0:0")]
    }

    #[test]
    fn paths_are_distinguished_by_their_address() {
        let reply = "3:0:0:0|sdb|active|ready|running\n\
                     2:0:0:0|sda|failed|i/o pending|offline\n\
                     9:0:0:0|sdc|undef|undef|running\n";
        let [a, b] = parse(reply, &disk()).unwrap().map(Option::unwrap);
        assert_eq!(a.to_string(), "sda failed i/o pending (offline)");
        assert_eq!(b.to_string(), "sdb active ready (running)");
    }

    #[test]
    fn a_missing_path_is_gone_and_an_error_is_no_sample() {
        let [a, b] = parse("3:0:0:0|sdb|active|ready|running\n", &disk()).unwrap();
        assert_eq!(a, None);
        assert_eq!(b.unwrap().device, "sdb");
        assert!(parse("timeout\n", &disk()).is_none());
    }
}
