// SPDX-License-Identifier: LGPL-2.0-or-later

//! The release of the running kernel.

#![forbid(unsafe_code)]

use nix::sys::utsname::uname;

/// The first two numbers of a kernel release. A later release compares as greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelRelease {
    /// The 5 of 5.13.
    pub major: u32,
    /// The 13 of 5.13.
    pub minor: u32,
}

/// The release of the running kernel (`uname`). `None` when it does not begin with two numbers.
pub fn kernel_release() -> Option<KernelRelease> {
    parse(uname().ok()?.release().to_str()?)
}

fn parse(release: &str) -> Option<KernelRelease> {
    let (major, rest) = release.split_once('.')?;
    let end = rest.find(|other: char| !other.is_ascii_digit());
    let minor = rest.get(..end.unwrap_or(rest.len()))?;
    Some(KernelRelease {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_and_compared_by_number() {
        let release = |major, minor| Some(KernelRelease { major, minor });
        for (text, expected) in [
            ("6.1.0-18-amd64", release(6, 1)),
            ("4.18.0-553.el8_10.x86_64", release(4, 18)),
            ("5.13", release(5, 13)),
            ("5.13-rc1", release(5, 13)),
            ("6", None),
            ("x.1", None),
            ("5.x", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert!(release(5, 9) < release(5, 13) && release(5, 13) < release(6, 1));
        assert!(kernel_release() > release(2, 6));
    }
}
