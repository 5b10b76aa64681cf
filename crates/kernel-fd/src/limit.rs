//! How many descriptors a process may have.

use crate::Errno;

/// Raises the process's limit on open descriptors as far as it may without privileges, and returns
/// it (`RLIMIT_NOFILE`, the soft limit up to the hard one). Not for a process that uses `select`.
///
/// # Errors
/// What `setrlimit` says; the limit is as it was then.
pub fn raise_descriptor_limit() -> Result<u64, Errno> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to an rlimit of our own that outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } < 0 {
        return Err(Errno::last());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above, and the kernel only reads it.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } < 0 {
        return Err(Errno::last());
    }
    Ok(limit.rlim_cur)
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
