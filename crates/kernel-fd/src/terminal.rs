//! How large a terminal is.

use std::os::fd::RawFd;

/// The lines and columns of the terminal behind `fd` (`TIOCGWINSZ`); `None` when it is no terminal or
/// does not know its size.
pub fn terminal_size(fd: RawFd) -> Option<(u16, u16)> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the request writes one winsize through the pointer, which is to one of our own; what is
    // no terminal refuses it.
    if unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &mut size) } < 0 {
        return None;
    }
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_is_no_terminal_has_no_size() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(terminal_size(null.as_raw_fd()), None);
        assert_eq!(terminal_size(-1), None);
    }
}
