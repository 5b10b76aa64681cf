// SPDX-License-Identifier: LGPL-2.0-or-later

//! One path, beyond what the public interface shows.

use super::*;
use crate::read::{Holder, Read};
use checkers_core::{MapMemory, Seconds};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

fn call(file: &File) -> Call {
    Call {
        fd: file.as_raw_fd(),
        timeout: Seconds(20),
        mode: Mode::Async,
        delivery: Delivery::Pending,
        path_state: PathState::Wild,
        map: MapMemory::Absent,
        clock: kernel_fd::monotonic,
    }
}

#[test]
fn a_refused_read_without_a_worker_ends_the_check() {
    let _alone = crate::groups::tests::alone();
    let file = tempfile::tempfile().unwrap();
    let mut call = call(&file);
    let mut path = Directio::init(&call).instance.unwrap();
    path.running = Some(Running {
        polled: false,
        deadline: Monotonic::default(),
        calls: 0,
    });
    // There is no such descriptor to duplicate.
    call.fd = -1;
    let state = path.state_after(Outcome::Refused(Errno(libc::EAGAIN)), &call);
    assert_eq!(state, Some(PathState::Unchecked));
    assert!(path.running.is_none(), "the next check submits");
    call.fd = file.as_raw_fd();
    path.free(&call);
}

#[test]
#[ignore = "needs root and a loop device"]
fn before_linux_5_13_a_worker_submits_for_block_devices() {
    let _alone = crate::groups::tests::alone();
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    File::create_new(&image).unwrap().set_len(1 << 20).unwrap();
    let attach = Command::new("losetup")
        .args(["-f", "--show"])
        .arg(&image)
        .output();
    let name = String::from_utf8(attach.unwrap().stdout).unwrap();
    let device = File::open(name.trim()).unwrap();
    let call = call(&device);
    let release = KernelRelease {
        major: 5,
        minor: 12,
    };
    let mut path = Directio::init_on(&call, Some(release)).instance.unwrap();
    let (place, mut verdict) = (path.place, path.check(&call).verdict);
    let nowait = groups().read(place) == Read::Awaited(Holder::Kernel { nowait: true });
    while verdict.state == PathState::Pending {
        verdict = path.pending(&call).verdict;
    }
    path.free(&call);
    drop(device);
    let _ = Command::new("losetup").args(["-d", name.trim()]).status();
    assert_eq!((nowait, verdict), (false, Verdict::UP));
}
