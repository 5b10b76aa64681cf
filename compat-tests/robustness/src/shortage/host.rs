//! All cases of one plugin, each in a process of its own.
//!
//! usage: shortage-host-X PLUGIN short|long FILE STALLED|-
//!        shortage-host-X PLUGIN scene NAME COUNT FILE
//!
//! Says a line for each case. The program that started this one has the file that hangs: at each
//! `hold` and `let-go` this one waits until it hears a line.

use super::faults::{self, Resource};
use super::life::{Case, NEVER, Outcome, Setting, Span, play};
use super::scenes;
use super::world::Common;
use harness::abi::Abi;
use harness::plugin::Plugin;
use harness::{Doing, Result, Trouble};
use std::ffi::c_int;
use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

/// How long a case may take before it counts as hung.
const WATCHDOG: Duration = Duration::from_secs(40);

/// More requests for one resource no life makes.
const MOST: u64 = 400;

/// What is refused in a case: one resource, or all of them.
const KINDS: [(&str, &[Resource]); 6] = [
    ("memory", &[Resource::Memory]),
    ("threads", &[Resource::Threads]),
    ("descriptors", &[Resource::Descriptors]),
    ("contexts", &[Resource::Contexts]),
    ("requests", &[Resource::Requests]),
    ("all of these", &Resource::ALL),
];

/// The host's main function.
pub fn main(abi: Abi) -> ExitCode {
    faults::this_is_the_host();
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(abi, &words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            println!("shortage-host: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn run(abi: Abi, words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [plugin, rest @ ..] = words.as_slice() else {
        return Err(Trouble::Broken("see its source for the usage".to_owned()));
    };
    let common = |file: &str, stalled: &str| -> Result<Common> {
        Ok(Common {
            abi,
            plugin: faults::inside(|| Plugin::load(Path::new(plugin), abi))?,
            reads: plugin.ends_with("libcheckdirectio.so"),
            file: file.to_owned(),
            stalled: (stalled != "-").then(|| stalled.to_owned()),
        })
    };
    match rest {
        ["scene", name, count, file] => {
            let count = count
                .parse()
                .map_err(|_| Trouble::Broken(format!("{count:?}")))?;
            let common = common(file, "-")?;
            println!("{}", scenes::play(&common, name, count)?);
        }
        [length @ ("short" | "long"), file, stalled] => {
            campaign(&common(file, stalled)?, *length == "long");
        }
        _ => return Err(Trouble::Broken("see its source for the usage".to_owned())),
    }
    Ok(())
}

fn campaign(common: &Common, long: bool) {
    let report = Report::new();
    for setting in Setting::ALL {
        if setting == Setting::InFlight && common.stalled.is_none() {
            continue;
        }
        for (kind, resources) in KINDS {
            for and_later in [false, true] {
                for span in [Span::Checks, Span::Life] {
                    // One refusal is over before the life is.
                    if !long && (and_later != (span == Span::Life)) {
                        continue;
                    }
                    let case = |at| Case {
                        setting,
                        resources,
                        at,
                        and_later,
                        span,
                    };
                    let times = if and_later { "from" } else { "once" };
                    // How many requests a life makes that gets them all.
                    let mut end = apart(common, case(NEVER), report);
                    let requests = report.requests.load(SeqCst).min(MOST);
                    for at in 0..=requests {
                        if at > 0 {
                            end = apart(common, case(at), report);
                        }
                        // A life whose requests are all granted is a case when it fails.
                        if at > 0 || !end.starts_with("ok") {
                            println!("case\t{kind}\t{setting:?}\t{times}\t{span:?}\t{at}\t{end}");
                        }
                        if end.starts_with("hung") {
                            break;
                        }
                    }
                }
            }
        }
    }
}

/// What a case says to the process that started it.
struct Report {
    requests: AtomicU64,
    outcome: AtomicU8,
    length: AtomicU32,
    text: [AtomicU8; 512],
}

impl Report {
    /// In memory that is shared with child processes.
    fn new() -> &'static Report {
        // SAFETY: a new mapping, zeroed; atomics may have any value, and it is never unmapped.
        unsafe {
            let place = libc::mmap(
                std::ptr::null_mut(),
                size_of::<Report>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert!(place != libc::MAP_FAILED, "no memory");
            &*place.cast::<Report>()
        }
    }

    fn clear(&self) {
        self.requests.store(0, SeqCst);
        self.outcome.store(0, SeqCst);
        self.length.store(0, SeqCst);
    }

    fn say(&self, text: &str) {
        for (place, byte) in self.text.iter().zip(text.bytes()) {
            place.store(byte, SeqCst);
        }
        let length = text.len().min(self.text.len());
        self.length
            .store(u32::try_from(length).unwrap_or(0), SeqCst);
    }

    fn said(&self) -> String {
        let length = self.length.load(SeqCst) as usize;
        let bytes: Vec<u8> = self
            .text
            .iter()
            .take(length)
            .map(|byte| byte.load(SeqCst))
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Plays a case in a process of its own, and says how it ended in a line that begins with `ok`,
/// `failed`, `died` or `hung`.
fn apart(common: &Common, case: Case, report: &Report) -> String {
    report.clear();
    if case.setting == Setting::InFlight {
        let _ = ask("hold");
    }
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let end = play(common, case, |requests| {
            report.requests.store(requests, SeqCst)
        });
        let code = match end {
            Ok(outcome) => {
                report.outcome.store(outcome as u8, SeqCst);
                0
            }
            Err(Trouble::NotHere(why)) => {
                report.say(&why);
                3
            }
            Err(trouble) => {
                report.say(&trouble.to_string());
                1
            }
        };
        // SAFETY: ends the process.
        unsafe { libc::_exit(code) };
    }
    match wait(child) {
        None => {
            // SAFETY: a child of this process that has not been waited for.
            unsafe { libc::kill(child, libc::SIGKILL) };
            // It ends only when its reads have been answered.
            let _ = let_go();
            let_end(child);
            format!("hung\tfor {} s and was ended", WATCHDOG.as_secs())
        }
        Some(status) if libc::WIFSIGNALED(status) => {
            let _ = let_go();
            format!("died\tof signal {}", libc::WTERMSIG(status))
        }
        Some(status) if libc::WEXITSTATUS(status) != 0 => {
            let _ = let_go();
            format!("failed\t{}", report.said())
        }
        Some(_) => {
            let outcome = [Outcome::Unharmed, Outcome::Unchecked, Outcome::NoInit]
                .into_iter()
                .find(|outcome| *outcome as u8 == report.outcome.load(SeqCst));
            format!("ok\t{:?}", outcome.unwrap_or(Outcome::Unharmed))
        }
    }
}

/// Waits for a child; its status, or `None` when the watchdog comes first.
pub(super) fn wait(child: libc::pid_t) -> Option<c_int> {
    let end = Instant::now() + WATCHDOG;
    let mut pause = Duration::from_micros(100);
    loop {
        let mut status = 0;
        // SAFETY: a child of this process that has not been waited for, and room for its status.
        match unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } {
            0 if Instant::now() > end => return None,
            0 => std::thread::sleep(pause),
            _ => return Some(status),
        }
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

fn let_end(child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: a child of this process that has not been waited for, and room for its status.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
}

/// Has the file that hangs answer.
pub(super) fn let_go() -> Result<()> {
    ask("let-go")
}

/// Asks the program that started this one for something, and waits until it is done.
fn ask(what: &str) -> Result<()> {
    println!("{what}");
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .doing("waiting for a file to be let go")?;
    Ok(())
}
