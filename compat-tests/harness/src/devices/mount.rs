// SPDX-License-Identifier: LGPL-2.0-or-later

//! Mounts that have no place in the directory tree: they are reached through a descriptor and are
//! gone when it is closed, however the process ends.

use crate::{Doing, Result, Trouble};
use std::ffi::{CStr, CString, c_int, c_long};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

const FSOPEN_CLOEXEC: c_int = 1;
const FSMOUNT_CLOEXEC: c_int = 1;
const FSCONFIG_SET_STRING: c_int = 1;
const FSCONFIG_CMD_CREATE: c_int = 6;

/// A detached mount (`fsmount(2)`).
#[derive(Debug)]
pub struct Mount(OwnedFd);

fn answer(result: c_long) -> std::io::Result<c_int> {
    crate::os(c_int::try_from(result).unwrap_or(-1))
}

/// Turns the errors of a kernel that lacks something, or of a user without the right, into "not here".
fn not_here(error: std::io::Error, kind: &str) -> Trouble {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::ENOSYS | libc::ENODEV) => {
            Trouble::NotHere(format!("mounting {kind}: {error}"))
        }
        _ => Trouble::Broken(format!("mounting {kind}: {error}")),
    }
}

impl Mount {
    /// Mounts a file system of this kind with these options.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] without the right or the file system.
    pub fn new(kind: &CStr, options: &[(&CStr, &str)]) -> Result<Mount> {
        let name = kind.to_string_lossy();
        let nothing = std::ptr::null::<u8>();
        // SAFETY: the name is a string.
        let context =
            answer(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })
                .map_err(|error| not_here(error, &name))?;
        // SAFETY: fsopen returned this descriptor to this call; nothing else owns it.
        let context = unsafe { OwnedFd::from_raw_fd(context) };
        let configure = |command: c_int, key: Option<&CStr>, value: Option<&CStr>| {
            // SAFETY: key and value are strings or NULL, as each command wants them.
            answer(unsafe {
                libc::syscall(
                    libc::SYS_fsconfig,
                    context.as_raw_fd(),
                    command,
                    key.map_or(nothing.cast(), CStr::as_ptr),
                    value.map_or(nothing.cast(), CStr::as_ptr),
                    0,
                )
            })
            .map_err(|error| not_here(error, &name))
        };
        for (key, value) in options {
            let value = CString::new(*value)
                .map_err(|_| Trouble::Broken("a mount option with a NUL".to_owned()))?;
            configure(FSCONFIG_SET_STRING, Some(key), Some(&value))?;
        }
        configure(FSCONFIG_CMD_CREATE, None, None)?;
        // SAFETY: the context is configured; the call makes a descriptor.
        let mount = answer(unsafe {
            libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, 0)
        })
        .map_err(|error| not_here(error, &name))?;
        // SAFETY: fsmount returned this descriptor to this call; nothing else owns it.
        Ok(Mount(unsafe { OwnedFd::from_raw_fd(mount) }))
    }

    /// The path under which any process of this user finds a file of the mount while it exists.
    pub fn path(&self, file: &str) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}/{file}",
            std::process::id(),
            self.0.as_raw_fd()
        ))
    }

    /// The minor number of the mount's device, by which the kernel names FUSE connections.
    ///
    /// # Errors
    /// What `fstat` says.
    pub fn minor(&self) -> Result<u32> {
        let status = nix::sys::stat::fstat(&self.0).doing("inspecting a mount")?;
        Ok(libc::minor(status.st_dev))
    }
}

impl AsFd for Mount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
