// SPDX-License-Identifier: LGPL-2.0-or-later

//! Results, exit codes and errors, without anything that hangs.

use super::*;
use checkers_core::{MapMemory, PathState, Probe, Seconds, Task};
use std::fs::File;
use std::os::fd::AsRawFd;

#[test]
fn an_image_is_up() {
    let directory = directory();
    let image = image(directory.path(), "disk.img", 1 << 20);
    let output = run([&image]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = stdout(&output);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["DEVICE", "KIND", "CHECKER", "STATE", "LATENCY", "MESSAGE"]
    );
    assert!(lines[1].starts_with(image.to_str().unwrap()));
    assert!(lines[1].contains("file") && lines[1].contains("directio"));
    assert!(lines[1].contains(" up ") && lines[1].ends_with("reports path is up"));
    assert_eq!(
        &lines[2..],
        [
            "",
            "1 path: 1 up",
            "checker directio: takes no SCSI commands, so it is asked to read"
        ]
    );
    assert!(
        !table.contains('\x1b'),
        "no colour where there is no terminal"
    );
    assert!(output.stderr.is_empty());
}

#[test]
fn the_document_has_what_it_promises() {
    let directory = directory();
    let good = image(directory.path(), "good.img", 1 << 20);
    let empty = image(directory.path(), "empty.img", 0);
    let output = run([
        "--json".as_ref(),
        "-t7".as_ref(),
        good.as_os_str(),
        empty.as_os_str(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let document = json(&output);
    assert_eq!(document["schema"], 1);
    let path = &document["paths"][0];
    assert_eq!(path["device"], good.to_str().unwrap());
    for (field, value) in [
        ("kind", "file".into()),
        ("partition", false.into()),
        ("size_bytes", (1 << 20).into()),
        ("vendor", Value::Null),
        ("product", Value::Null),
        ("sysfs_state", Value::Null),
        ("checker", "directio".into()),
        (
            "checker_reason",
            "takes no SCSI commands, so it is asked to read".into(),
        ),
        ("timeout_s", 7.into()),
        ("state", "up".into()),
        ("message", "reports path is up".into()),
        ("message_id", 4.into()),
        ("reason", Value::Null),
    ] as [(&str, Value); 13]
    {
        assert_eq!(path[field], value, "{field}");
    }
    let latency = path["latency_us"].as_u64().unwrap();
    assert!(latency > 0 && latency < 7_000_000);
    let path = &document["paths"][1];
    assert_eq!(
        (&path["state"], &path["message_id"]),
        (&"down".into(), &5.into())
    );
    assert_eq!(path["reason"]["text"], "read: less than a block came back");
}

/// Compares what the program shows of an image file with what the checker `P` finds by itself.
#[expect(clippy::indexing_slicing, reason = "tests")]
fn shown_as_found<P: Probe>(image: &Path) {
    let checker = P::NAME;
    let file = File::open(image).unwrap();
    let memory = P::Memory::default();
    let mut task = Task::uncancelled(file.as_raw_fd(), Seconds(5), memory, MapMemory::Absent);
    let found = P::probe(&mut task).verdict;

    let arguments = ["--json", "--checker", checker, "--allow-mode-select"].map(OsStr::new);
    let output = run(arguments.into_iter().chain([image.as_os_str()]));
    let up = found.state == PathState::Up;
    assert_eq!(
        output.status.code(),
        Some(i32::from(!up)),
        "{checker}: {output:?}"
    );
    let path = &json(&output)["paths"][0];
    assert_eq!(path["checker"], checker);
    assert_eq!(path["checker_reason"], "asked for");
    assert_eq!(path["state"], found.state.name(), "{checker}");
    let id = found.message.map(checkers_core::MessageId::as_raw);
    assert_eq!(path["message_id"], Value::from(id), "{checker}");
    assert!(path["latency_us"].is_u64(), "{checker}");
    if !up {
        let reason = &path["reason"];
        assert!(
            reason["command"]
                .as_str()
                .is_some_and(|command| !command.is_empty())
        );
        assert_eq!(reason["errno"], 25, "{checker}: ENOTTY");
        assert_eq!(
            (&reason["scsi_status"], &reason["sense"]),
            (&Value::Null, &Value::Null)
        );
    }
}

macro_rules! every_probe {
    ($({ $name:ident $crate_name:ident $checker:ty $(, probe $probe:ty)? $(, scsi $scsi:ty)? })*) => {
        fn shown_as_found_by_every_probe(image: &Path) {
            $($(shown_as_found::<$probe>(image);)?)*
        }
    };
}
checkers::for_each_checker!(every_probe);

#[test]
fn a_checker_that_is_named_is_used_whatever_the_device() {
    let directory = directory();
    let image = image(directory.path(), "disk.img", 1 << 20);
    shown_as_found_by_every_probe(&image);
    let output = run(["-c".as_ref(), "tur".as_ref(), image.as_os_str()]);
    let table = stdout(&output);
    let lines: Vec<_> = table.lines().collect();
    assert!(
        lines[1].contains(" wild ") && lines[1].ends_with("doesn't support this device"),
        "{table}"
    );
    assert_eq!(
        &lines[2..],
        [
            "    TEST UNIT READY: Inappropriate ioctl for device",
            "",
            "1 path: 1 wild"
        ]
    );
}

#[test]
fn a_checker_that_there_is_not_is_answered_with_those_there_are() {
    let output = run(["--checker", "tuh", "/"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    for name in ["tuh", "auto"].iter().chain(checkers::NAMES) {
        assert!(said.contains(name), "{name}: {said}");
    }
}

#[test]
fn what_cannot_be_checked_says_why_and_does_not_hide_the_rest() {
    let directory = directory();
    let good = image(directory.path(), "good.img", 1 << 20);
    for (device, why) in [
        ("/dev/null", "a character device"),
        ("/", "a directory"),
        ("nowhere", "no such file or device"),
        ("", "no such file or device"),
        ("/proc/self/maps", "no direct I/O (O_DIRECT)"),
    ] {
        let output = run(["--json".as_ref(), OsStr::new(device), good.as_os_str()]);
        assert_eq!(output.status.code(), Some(3), "{device}");
        let document = json(&output);
        assert_eq!(states(&document), ["error", "up"], "{device}");
        let message = document["paths"][0]["message"].as_str().unwrap();
        assert!(message.starts_with(why), "{device}: {message}");
        assert_eq!(document["paths"][0]["latency_us"], Value::Null);
    }
}

#[test]
fn names_are_shown_without_harm_to_the_terminal() {
    use std::os::unix::ffi::OsStrExt;
    let directory = directory();
    let mut name = directory.path().as_os_str().as_bytes().to_vec();
    name.extend_from_slice(b"/\x1b[2J\xff.img");
    let name = OsStr::from_bytes(&name);
    std::fs::File::create_new(name)
        .unwrap()
        .set_len(4096)
        .unwrap();
    let output = run([name]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains("/?[2J\u{fffd}.img"));
}

#[test]
fn a_device_may_be_named_twice() {
    let directory = directory();
    let good = image(directory.path(), "good.img", 1 << 20);
    let output = run(["--json".as_ref(), good.as_os_str(), good.as_os_str()]);
    assert_eq!(states(&json(&output)), ["up", "up"]);
}

#[test]
fn with_a_time_limit_of_0_a_sound_disk_is_up() {
    let directory = directory();
    let good = image(directory.path(), "good.img", 1 << 20);
    assert_eq!(
        run(["--timeout=0".as_ref(), good.as_os_str()])
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn more_devices_than_threads() {
    let directory = directory();
    let good = image(directory.path(), "good.img", 1 << 20);
    let output = run(std::iter::once(OsStr::new("--json")).chain([good.as_os_str(); 1500]));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(states(&json(&output)), ["up"; 1500]);
}

#[test]
fn without_arguments_every_disk_is_in_the_document_and_every_checked_one_in_the_table() {
    let (table, document) = (run::<&str>([]), run(["--json"]));
    for output in [&table, &document] {
        assert!(
            matches!(output.status.code(), Some(0 | 1 | 3)),
            "{output:?}"
        );
    }
    // Where there are no disks there is no document.
    let disks = std::fs::read_dir("/sys/block").map_or(0, Iterator::count);
    if disks == 0 {
        return assert!(table.stdout.is_empty() && document.stdout.is_empty());
    }
    let (table, document) = (stdout(&table), json(&document));
    for path in document["paths"].as_array().unwrap() {
        let row = format!("{} ", path["device"].as_str().unwrap());
        let has_row = table.lines().any(|line| line.starts_with(&row));
        let skipped = path["state"] == "skipped";
        assert_eq!(has_row, !skipped, "{row}");
        if skipped {
            let why = format!("({})", path["message"].as_str().unwrap());
            let counted = |line: &str| line.starts_with("skipped: ") && line.contains(&why);
            assert!(table.lines().any(counted), "{why}");
        }
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    for arguments in [["--timeout", "x"], ["--timeout", "-1"], ["--nonsense", "/"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    assert_eq!(run(["--help"]).status.code(), Some(0));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let directory = directory();
    let good = image(directory.path(), "good.img", 1 << 20);
    let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(reader);
    let mut child = command([good.as_os_str()]);
    let output = child
        .stdout(std::os::fd::OwnedFd::from(writer))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = output.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_full_disk_is_a_failure() {
    let directory = directory();
    let good = image(directory.path(), "good.img", 1 << 20);
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let child = command([good.as_os_str()])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("No space left on device"), "{said}");
}

#[test]
#[ignore = "needs root, to change its user"]
fn without_the_right_to_open_it_there_is_a_way_out() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let secret = image(directory.path(), "secret.img", 4096);
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    // The program may be in a folder that the other user cannot enter.
    let program = directory.path().join("pathcheck");
    std::fs::copy(env!("CARGO_BIN_EXE_pathcheck"), &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .arg("--json")
        .arg(&secret)
        .arg("/dev/loop0")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let document = json(&output);
    for (path, way_out) in [
        (0, "run as root or as the file's owner"),
        (1, "run as root or as a member"),
    ] {
        let message = document["paths"][path]["message"].as_str().unwrap();
        assert!(
            message.starts_with("permission denied: ") && message.contains(way_out),
            "{message}"
        );
    }
}
