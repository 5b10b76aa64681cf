// SPDX-License-Identifier: LGPL-2.0-or-later

//! The line about a host that is not known, once per process.

use super::plugins::{self, Reported};
use kernel_fd::FileKind;
use std::ffi::CStr;
use std::os::fd::RawFd;

/// The line. The remedy comes early, since long lines are cut.
const TEXT: &CStr = c"path checker plugins: this multipath-tools is none that they know (0.7.9 to 0.15), so no \
path is checked. Put the distribution's own plugins back: reinstall the package that has them (dpkg -S or \
rpm -qf on libchecktur.so names it), then restart multipathd. A program without libmultipath calls \
libcheck_assume_abi first";

/// Writes the line, unless a plugin of the process has. It does not go to the host's log, whose form is
/// unknown too, but to the standard error stream, or to syslog from a daemon without one.
pub(super) fn report() {
    // For a program without a plugin, which has this code linked in.
    static OWN: Reported = Reported::new();
    if !plugins::first().unwrap_or(&OWN).set() {
        return;
    }
    if is_closed_or_null(libc::STDERR_FILENO) {
        // SAFETY: the format takes one string, and the text is NUL-terminated.
        unsafe {
            libc::syslog(
                libc::LOG_DAEMON | libc::LOG_ERR,
                c"%s".as_ptr(),
                TEXT.as_ptr(),
            )
        };
    } else {
        log::error!("{}", TEXT.to_str().unwrap_or_default());
    }
}

/// Whether `fd` is closed or `/dev/null`.
fn is_closed_or_null(fd: RawFd) -> bool {
    kernel_fd::stat(fd).map_or(true, |stat| {
        stat.kind == FileKind::Other && (stat.major(), stat.minor()) == (1, 3)
    })
}
