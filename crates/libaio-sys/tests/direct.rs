// SPDX-License-Identifier: LGPL-2.0-or-later

//! Direct I/O, where completions come from the device and later than the submission.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test")]

use libaio_sys::{Completion, Context};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The name of a file to be opened for direct I/O; removed with its directory.
fn image(size: u64) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().join("image");
    File::create_new(&path).unwrap().set_len(size).unwrap();
    (directory, path)
}

fn direct(path: &Path) -> File {
    File::options()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)
        .unwrap()
}

/// Reads blocks of these lengths, all at the same time, and returns their results.
fn read(file: &File, lengths: &[usize]) -> Vec<i64> {
    let mut context = Context::new(1024).unwrap();
    for (token, length) in (0..).zip(lengths) {
        context
            .submit_read(file.as_raw_fd(), *length, token)
            .unwrap();
    }
    let mut results = BTreeMap::new();
    let give_up = Instant::now() + Duration::from_secs(20);
    while results.len() < lengths.len() {
        assert!(Instant::now() < give_up);
        let mut each = |completion: Completion| {
            assert!(
                results.insert(completion.token, completion.res).is_none(),
                "twice"
            );
        };
        // From the ring, and by waiting, in turn.
        context.reap(&mut each).unwrap();
        if context.in_flight() > 0 {
            let waiter = context.waiter();
            let events = waiter.wait(Duration::from_millis(100)).unwrap();
            context.accept(events, &mut each);
            context.release(waiter);
        }
    }
    context.destroy().unwrap();
    results.into_values().collect()
}

#[test]
#[ignore = "needs a target directory on a file system with direct I/O"]
fn a_file() {
    let (_directory, path) = image(6144);
    let file = direct(&path);
    assert_eq!(read(&file, &[512, 4096, 8192]), [512, 4096, 6144]);
    assert_eq!(read(&file, &[4096; 1024]), [4096; 1024]);
}

#[test]
#[ignore = "needs root and a loop device"]
fn a_block_device() {
    let (_directory, path) = image(1 << 20);
    let attached = Command::new("losetup")
        .args(["--find", "--show", "--sector-size=4096"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(attached.status.success(), "{attached:?}");
    let device = String::from_utf8(attached.stdout).unwrap();
    let results = [[4096; 256].as_slice(), &[65_536], &[512]]
        .map(|lengths| read(&direct(Path::new(device.trim())), lengths));
    let detached = Command::new("losetup")
        .args(["--detach", device.trim()])
        .status()
        .unwrap();
    assert!(detached.success());
    let refused = -i64::from(libc::EINVAL);
    assert_eq!(results, [vec![4096; 256], vec![65_536], vec![refused]]);
}
