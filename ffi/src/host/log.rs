// SPDX-License-Identifier: LGPL-2.0-or-later

//! Log lines go where the host's own lines go.
//!
//! The five levels of `log` are the five of libmultipath: error 0, warn 1, info 2, debug 3, trace 4.

use super::Symbols;
use kernel_fd::write_to_stderr;
use std::ffi::{c_char, c_int, c_void};
use std::fmt::Write as _;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// `void dlog(int prio, const char *fmt, ...)`, 0.8.6 and later.
type DlogNew = unsafe extern "C" fn(c_int, *const c_char, ...);
/// `void dlog(int sink, int prio, const char *fmt, ...)`, up to 0.8.5.
type DlogOld = unsafe extern "C" fn(c_int, c_int, *const c_char, ...);

/// The host's way to write a log line.
pub(crate) enum Dlog {
    /// The caller compares with `libmp_verbosity`.
    New {
        dlog: DlogNew,
        verbosity: &'static AtomicI32,
    },
    /// `dlog` compares by itself; the caller says where the lines go.
    Old {
        dlog: DlogOld,
        sink: &'static AtomicI32,
    },
}

static HOST_LOG: OnceLock<Dlog> = OnceLock::new();

/// The verbosity of a program without libmultipath, whose log is standard error: libmultipath's default.
const DEFAULT_VERBOSITY: c_int = 2;

/// The size of a line with its NUL, in bytes; longer lines are cut.
const LINE: usize = 512;

impl Dlog {
    /// The host's log; `None` if it has none, or one of an unknown form.
    pub(crate) fn find(symbols: &Symbols) -> Option<Dlog> {
        let dlog = symbols.find(c"dlog")?.as_ptr();
        if let Some(verbosity) = symbols.find(c"libmp_verbosity") {
            // SAFETY: a host that exports libmp_verbosity has the two-argument dlog.
            let dlog = unsafe { std::mem::transmute::<*mut c_void, DlogNew>(dlog) };
            Some(Dlog::New {
                dlog,
                verbosity: variable(verbosity),
            })
        } else {
            let sink = symbols.find(c"logsink")?;
            // SAFETY: without libmp_verbosity it is the three-argument one, which goes with logsink.
            let dlog = unsafe { std::mem::transmute::<*mut c_void, DlogOld>(dlog) };
            Some(Dlog::Old {
                dlog,
                sink: variable(sink),
            })
        }
    }

    fn wants(&self, level: c_int) -> bool {
        match self {
            Dlog::New { verbosity, .. } => level <= verbosity.load(Ordering::Relaxed),
            Dlog::Old { .. } => true,
        }
    }

    fn write(&self, level: c_int, line: &Line) {
        match self {
            // SAFETY: the format takes one string, and `line` is NUL-terminated and outlives the call.
            Dlog::New { dlog, .. } => unsafe { dlog(level, c"%s".as_ptr(), line.as_ptr()) },
            Dlog::Old { dlog, sink } => {
                let sink = sink.load(Ordering::Relaxed);
                // SAFETY: as above. The old dlog reads the configuration under RCU; only a thread of the
                // host, which is registered for that, logs.
                unsafe { dlog(sink, level, c"%s".as_ptr(), line.as_ptr()) }
            }
        }
    }
}

/// An `int` of the host that other threads may write at any time.
fn variable(address: NonNull<c_void>) -> &'static AtomicI32 {
    // SAFETY: both variables are C ints with static storage in a library that stays loaded, hence
    // aligned and valid forever. C's accesses to them are single loads and stores.
    unsafe { AtomicI32::from_ptr(address.as_ptr().cast()) }
}

/// Whether `log` calls the bridge.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Makes `log` call the bridge, unless the program has a logger of its own.
pub(crate) fn install() {
    if log::set_logger(&Bridge).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
        INSTALLED.store(true, Ordering::Relaxed);
    }
}

/// Sets the maximum level of `log` to the host's verbosity, so that lines above it cost nothing. The host
/// may change it at any time, so each of its calls begins with this.
pub(crate) fn follow_verbosity() {
    if !INSTALLED.load(Ordering::Relaxed) {
        return;
    }
    let wanted = match HOST_LOG.get() {
        Some(Dlog::New { verbosity, .. }) => filter(verbosity.load(Ordering::Relaxed)),
        Some(Dlog::Old { .. }) => log::LevelFilter::Trace,
        None => filter(DEFAULT_VERBOSITY),
    };
    if wanted != log::max_level() {
        log::set_max_level(wanted);
    }
}

/// Directs the lines to the host's log from now on. Only the first log has an effect.
pub(crate) fn connect(dlog: Option<Dlog>) {
    if let Some(dlog) = dlog {
        HOST_LOG.get_or_init(|| dlog);
    }
}

struct Bridge;

impl log::Log for Bridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        let level = number(metadata.level());
        HOST_LOG
            .get()
            .map_or(level <= DEFAULT_VERBOSITY, |host| host.wants(level))
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut line = Line::default();
        // Fails for a line that is cut, which is no error.
        let _ = writeln!(line, "{}", record.args());
        match HOST_LOG.get() {
            Some(host) => host.write(number(record.level()), &line),
            None => write_to_stderr(line.text()),
        }
    }

    fn flush(&self) {}
}

/// The levels up to `verbosity`.
fn filter(verbosity: c_int) -> log::LevelFilter {
    log::Level::iter()
        .take_while(|level| number(*level) <= verbosity)
        .last()
        .map_or(log::LevelFilter::Off, |level| level.to_level_filter())
}

fn number(level: log::Level) -> c_int {
    match level {
        log::Level::Error => 0,
        log::Level::Warn => 1,
        log::Level::Info => 2,
        log::Level::Debug => 3,
        log::Level::Trace => 4,
    }
}

/// A line being formatted, on the stack: logging must not allocate.
struct Line {
    /// The last byte is never written and stays NUL.
    bytes: [u8; LINE],
    length: usize,
}

impl Default for Line {
    fn default() -> Self {
        Line {
            bytes: [0; LINE],
            length: 0,
        }
    }
}

impl Line {
    fn text(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

impl std::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self
            .bytes
            .get_mut(self.length..LINE - 1)
            .unwrap_or_default();
        for (place, byte) in room.iter_mut().zip(text.bytes()) {
            *place = byte;
            self.length += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn the_filter_passes_what_the_host_logs() {
        for verbosity in [c_int::MIN, -1, 0, 1, 2, 3, 4, 5, c_int::MAX] {
            for level in log::Level::iter() {
                let wanted = number(level) <= verbosity;
                assert_eq!(level <= filter(verbosity), wanted, "{level} at {verbosity}");
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_and_stays_terminated() {
        let mut line = Line::default();
        write!(line, "{:>1$}", "end", 2 * LINE).unwrap();
        write!(line, "more").unwrap();
        let text = CStr::from_bytes_until_nul(&line.bytes).unwrap();
        assert_eq!(text.count_bytes(), LINE - 1);
    }
}
