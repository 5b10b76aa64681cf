//! The sampler: asks the daemon ten times a second what it thinks of the paths, and what it costs.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::daemon;
use super::disk::Address;
use super::reporter::Reporter;
use crate::event::{Event, Figure, Path, View};

const PERIOD: Duration = Duration::from_millis(100);
/// A reply that takes longer is a daemon that does not answer.
const REPLY_LIMIT: Duration = Duration::from_secs(120);

pub(super) struct Watch {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
}

/// The last sample and the largest values so far.
#[derive(Default)]
struct Seen {
    paths: [View; 2],
    figures: BTreeMap<Figure, u64>,
}

impl Watch {
    /// Starts to watch the daemon `pid`, whose disk has these addresses.
    pub(super) fn start(pid: u32, disk: [Address; 2], reporter: Reporter) -> Watch {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let watch = Watch {
            seen: Arc::clone(&seen),
            stop: Arc::clone(&stop),
        };
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                sample(pid, &disk, &reporter, &seen, &stop);
                std::thread::sleep(PERIOD);
            }
        });
        watch
    }

    /// The daemon's view of a path at the last sample.
    pub(super) fn view(&self, path: Path) -> View {
        let Ok(seen) = self.seen.lock() else {
            return View::default();
        };
        let [a, b] = &seen.paths;
        match path {
            Path::A => a.clone(),
            Path::B => b.clone(),
        }
    }

    /// The largest values seen.
    pub(super) fn figures(&self) -> BTreeMap<Figure, u64> {
        self.seen
            .lock()
            .map(|seen| seen.figures.clone())
            .unwrap_or_default()
    }
}

impl Drop for Watch {
    /// Does not wait for the sampler: it may wait for a daemon that does not answer.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn sample(
    pid: u32,
    disk: &[Address; 2],
    reporter: &Reporter,
    seen: &Mutex<Seen>,
    stop: &AtomicBool,
) {
    let asked = Instant::now();
    let reply = daemon::ask("show paths raw format %i|%d|%t|%T|%o", REPLY_LIMIT);
    let took = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
    // A daemon that is starting or stopping has no answer; the last one stands.
    let Ok(reply) = reply else { return };
    if stop.load(Ordering::Relaxed) {
        return;
    }
    let Some(paths) = parse(&reply, disk) else {
        return;
    };
    let Ok(mut seen) = seen.lock() else { return };
    for ((path, old), new) in Path::BOTH.into_iter().zip(&mut seen.paths).zip(paths) {
        if *old != new {
            reporter.say(Event::Path {
                path,
                view: new.clone(),
            });
            *old = new;
        }
    }
    let mut figures = process_figures(pid);
    figures.push((Figure::SlowestReply, took));
    for (figure, value) in figures {
        let largest = seen.figures.entry(figure).or_default();
        *largest = value.max(*largest);
    }
}

/// The two paths of a reply; `None` if the reply is a refusal ("timeout", "fail").
fn parse(reply: &str, disk: &[Address; 2]) -> Option<[View; 2]> {
    let mut paths: [View; 2] = Default::default();
    for line in reply.lines().filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [address, dev, dm, checker, device] = fields.as_slice() else {
            return None;
        };
        for (view, _) in paths.iter_mut().zip(disk).filter(|(_, a)| a.is(address)) {
            *view = View {
                dev: dev.to_string(),
                dm: dm.to_string(),
                checker: checker.to_string(),
                device: device.to_string(),
            };
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
    fn paths_are_told_apart_by_their_address() {
        let reply = "3:0:0:0|sdb|active|ready|running\n\
                     2:0:0:0|sda|failed|i/o pending|offline\n\
                     9:0:0:0|sdc|undef|undef|running\n";
        let [a, b] = parse(reply, &disk()).unwrap();
        assert_eq!(a.to_string(), "sda failed i/o pending (offline)");
        assert_eq!(b.to_string(), "sdb active ready (running)");
    }

    #[test]
    fn a_missing_path_is_gone_and_a_refusal_is_no_answer() {
        let [a, b] = parse("3:0:0:0|sdb|active|ready|running\n", &disk()).unwrap();
        assert_eq!(a.to_string(), "gone");
        assert_eq!(b.dev, "sdb");
        assert!(parse("timeout\n", &disk()).is_none());
    }
}
