// SPDX-License-Identifier: LGPL-2.0-or-later

//! Real block devices: loop devices over image files.

use super::*;

/// An attached loop device.
pub(crate) struct Loop {
    pub(crate) device: String,
}

impl Loop {
    pub(crate) fn attach(image: &Path, options: &[&str]) -> Loop {
        let output = Command::new("losetup")
            .args(["--find", "--show"])
            .args(options)
            .arg(image)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        Loop {
            device: stdout(&output).trim().to_owned(),
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup")
            .args(["--detach", &self.device])
            .status();
    }
}

#[test]
#[ignore = "needs root and a loop device"]
fn a_loop_device_is_up_with_every_block_size() {
    let directory = directory();
    for size in ["512", "1024", "2048", "4096"] {
        let image = image(directory.path(), size, 1 << 20);
        let disk = Loop::attach(&image, &["--sector-size", size]);
        let output = run(["--json", &disk.device]);
        assert_eq!(output.status.code(), Some(0), "{size}: {output:?}");
        let document = json(&output);
        let path = &document["paths"][0];
        assert_eq!(
            (&path["kind"], &path["size_bytes"]),
            (&"loop".into(), &(1 << 20).into())
        );
    }
}

#[test]
#[ignore = "needs root and a loop device"]
fn without_arguments_an_attached_device_is_checked_and_a_free_one_skipped() {
    let directory = directory();
    let disk = Loop::attach(&image(directory.path(), "disk.img", 1 << 20), &[]);
    let free = Command::new("losetup").arg("--find").output().unwrap();
    let free = stdout(&free).trim().to_owned();
    let document = json(&run(["--json"]));
    let state = |device: &str| {
        let paths = document["paths"].as_array().unwrap();
        paths
            .iter()
            .find(|path| path["device"] == device)
            .map(|path| path["state"].clone())
    };
    assert_eq!(state(&disk.device), Some("up".into()));
    assert_eq!(state(&free), Some("skipped".into()));
    // A device that is named is checked as by the daemon.
    let named = run(["--json", &free]);
    assert_eq!(
        (states(&json(&named)), named.status.code()),
        (vec!["down"], Some(1))
    );
}
