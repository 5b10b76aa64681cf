// SPDX-License-Identifier: LGPL-2.0-or-later

//! Makes AIO system calls of this thread fail on command, and counts them.
//!
//! A seccomp filter hands each such call to a second thread, which answers it or lets it go on.
//! That works on any plugin alike, however it makes its system calls.

use crate::{Doing, Result, Trouble};
use std::collections::BTreeMap;
use std::ffi::{c_int, c_long, c_ulong};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

/// The calls that can be counted and made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Syscall {
    /// `io_setup(2)`
    Setup,
    /// `io_destroy(2)`
    Destroy,
    /// `io_submit(2)`
    Submit,
    /// `io_cancel(2)`
    Cancel,
    /// `io_getevents(2)` and `io_pgetevents(2)`
    GetEvents,
}

/// `io_pgetevents(2)`, which the libc crate lacks for x86.
const SYS_IO_PGETEVENTS: c_long = if cfg!(target_arch = "x86_64") {
    333
} else {
    292
};

const WATCHED: [(c_long, Syscall); 6] = [
    (libc::SYS_io_setup, Syscall::Setup),
    (libc::SYS_io_destroy, Syscall::Destroy),
    (libc::SYS_io_submit, Syscall::Submit),
    (libc::SYS_io_cancel, Syscall::Cancel),
    (libc::SYS_io_getevents, Syscall::GetEvents),
    (SYS_IO_PGETEVENTS, Syscall::GetEvents),
];

#[derive(Default)]
struct State {
    /// What a call returns instead of being made: 0 or a negative `errno`.
    rules: BTreeMap<Syscall, c_int>,
    counts: BTreeMap<Syscall, u64>,
}

/// The watch over the thread that installed it; it lasts as long as the thread.
#[derive(Clone)]
pub struct Faults(Arc<Mutex<State>>);

const SECCOMP_SET_MODE_FILTER: c_long = 1;
const SECCOMP_FILTER_FLAG_NEW_LISTENER: c_long = 1 << 3;
const SECCOMP_RET_ALLOW: u32 = 0x7fff_0000;
const SECCOMP_RET_USER_NOTIF: u32 = 0x7fc0_0000;
const SECCOMP_USER_NOTIF_FLAG_CONTINUE: u32 = 1;
const SECCOMP_IOCTL_NOTIF_RECV: c_ulong = 0xc050_2100;
const SECCOMP_IOCTL_NOTIF_SEND: c_ulong = 0xc018_2101;

/// `struct seccomp_notif` of `linux/seccomp.h`.
#[repr(C)]
#[derive(Default)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    number: c_int,
    arch: u32,
    instruction_pointer: u64,
    arguments: [u64; 6],
}

/// `struct seccomp_notif_resp` of `linux/seccomp.h`.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

const _: () = assert!(size_of::<Notification>() == 80 && size_of::<Response>() == 24);

impl Faults {
    /// Starts watching the calling thread, and those that it starts from now on.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] where the kernel or the user's rights do not allow it.
    pub fn install() -> Result<Faults> {
        let count = u8::try_from(WATCHED.len()).unwrap_or(u8::MAX);
        let statement = |code: u32, jump: u8, value: u32| libc::sock_filter {
            code: u16::try_from(code).unwrap_or_default(),
            jt: jump,
            jf: 0,
            k: value,
        };
        // The first word of what the filter sees is the number of the system call.
        let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0)];
        for (index, (number, _)) in (0u8..).zip(WATCHED) {
            program.push(statement(
                libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
                count - index,
                u32::try_from(number).unwrap_or(u32::MAX),
            ));
        }
        program.push(statement(libc::BPF_RET | libc::BPF_K, 0, SECCOMP_RET_ALLOW));
        program.push(statement(
            libc::BPF_RET | libc::BPF_K,
            0,
            SECCOMP_RET_USER_NOTIF,
        ));
        let program = libc::sock_fprog {
            len: u16::try_from(program.len()).unwrap_or_default(),
            filter: program.as_mut_ptr(),
        };
        // SAFETY: `program` describes a filter that lives until the call returns; without root,
        // the kernel wants the promise that no new privileges are gained.
        let listener = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            libc::syscall(
                libc::SYS_seccomp,
                SECCOMP_SET_MODE_FILTER,
                SECCOMP_FILTER_FLAG_NEW_LISTENER,
                &raw const program,
            )
        };
        let listener = c_int::try_from(listener).unwrap_or(-1);
        let listener = crate::os(listener)
            .map_err(|error| Trouble::NotHere(format!("seccomp with a listener: {error}")))?;
        // SAFETY: seccomp returned this descriptor to this call; nothing else owns it.
        let listener = unsafe { OwnedFd::from_raw_fd(listener) };
        let faults = Faults(Arc::default());
        let state = faults.clone();
        std::thread::Builder::new()
            .name("faults".to_owned())
            .spawn(move || state.answer(&listener))
            .doing("starting the thread that answers system calls")?;
        Ok(faults)
    }

    /// From now on the call is not made and returns `result`: 0, or a negative `errno`.
    pub fn fail(&self, call: Syscall, result: c_int) {
        self.lock().rules.insert(call, result);
    }

    /// From now on the call is made.
    pub fn allow(&self, call: Syscall) {
        self.lock().rules.remove(&call);
    }

    /// How often the call was tried.
    pub fn count(&self, call: Syscall) -> u64 {
        self.lock().counts.get(&call).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|broken| broken.into_inner())
    }

    /// Answers until no watched thread is left.
    ///
    /// This thread was started by the watched one and is watched as well: it must make none of the
    /// watched calls.
    fn answer(&self, listener: &OwnedFd) {
        loop {
            let mut asked = Notification::default();
            // SAFETY: the request fills one notification, which must be zeroed before.
            let received = crate::os(unsafe {
                libc::ioctl(
                    listener.as_raw_fd(),
                    SECCOMP_IOCTL_NOTIF_RECV,
                    &raw mut asked,
                )
            });
            match received {
                Ok(_) => {}
                // The asking thread was interrupted before its call was read.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => {
                    continue;
                }
                Err(_) => return,
            }
            let call = WATCHED
                .iter()
                .find(|(number, _)| *number == c_long::from(asked.number))
                .map(|(_, call)| *call);
            let rule = call.and_then(|call| {
                let mut state = self.lock();
                *state.counts.entry(call).or_default() += 1;
                state.rules.get(&call).copied()
            });
            let response = Response {
                id: asked.id,
                value: 0,
                error: rule.unwrap_or(0),
                flags: match rule {
                    Some(_) => 0,
                    None => SECCOMP_USER_NOTIF_FLAG_CONTINUE,
                },
            };
            // SAFETY: the request reads one response. It fails only when the asking thread is gone.
            unsafe {
                libc::ioctl(
                    listener.as_raw_fd(),
                    SECCOMP_IOCTL_NOTIF_SEND,
                    &raw const response,
                )
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_fail_as_told_and_are_counted() {
        // In a thread of its own: a filter cannot be taken away again.
        let thread = std::thread::spawn(|| {
            let faults = Faults::install().unwrap();
            let mut context = 0u64;
            let mut setup = || {
                // SAFETY: io_setup writes the context's handle to where we point.
                let result = unsafe { libc::syscall(libc::SYS_io_setup, 8, &raw mut context) };
                let error = std::io::Error::last_os_error().raw_os_error();
                if result == 0 {
                    // SAFETY: ends the context that was just made.
                    unsafe { libc::syscall(libc::SYS_io_destroy, context) };
                    context = 0;
                }
                (result, error)
            };
            faults.fail(Syscall::Setup, -libc::EXDEV);
            assert_eq!(setup(), (-1, Some(libc::EXDEV)));
            faults.allow(Syscall::Setup);
            assert_eq!(setup().0, 0);
            assert_eq!(faults.count(Syscall::Setup), 2);
            assert_eq!(faults.count(Syscall::Destroy), 1);
            assert_eq!(faults.count(Syscall::Submit), 0);
        });
        thread.join().unwrap();
    }
}
