// SPDX-License-Identifier: LGPL-2.0-or-later

//! How many descriptors a process may have.

#![forbid(unsafe_code)]

use crate::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises this process's soft limit on open descriptors (`RLIMIT_NOFILE`) to the hard limit, and returns
/// the new limit. Not for a process that uses `select`.
///
/// # Errors
/// What `setrlimit` returns; the limit is unchanged then.
pub fn raise_descriptor_limit() -> Result<u64, Errno> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_hard_one() {
        let raised = raise_descriptor_limit().unwrap();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .unwrap();
        let values: Vec<_> = line.split_whitespace().skip(3).take(2).collect();
        assert_eq!(values, [raised.to_string(), raised.to_string()]);
    }
}
