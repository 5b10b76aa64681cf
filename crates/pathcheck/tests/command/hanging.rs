// SPDX-License-Identifier: LGPL-2.0-or-later

//! Devices that hang: they delay no other device, and the program ends in time.

use super::*;
use crate::loops::Loop;
use crate::stalled::Stalled;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};

/// What the program may take beyond a time limit.
const SLACK: Duration = Duration::from_millis(1500);

fn within(limit: u64, took: Duration) {
    let limit = Duration::from_secs(limit);
    assert!(took >= limit && took <= limit + SLACK, "took {took:?}");
}

#[test]
#[ignore = "needs root and FUSE"]
fn a_read_that_hangs_is_down_when_its_time_is_up() {
    let stalled = Stalled::mount(true);
    let arguments = ["--json", "-t2"].map(OsStr::new);
    let files = ["read", "sound"].map(|name| stalled.file(name));
    let (output, took) = timed(
        arguments
            .into_iter()
            .chain(files.iter().map(|file| file.as_os_str())),
    );
    within(2, took);
    assert_eq!(output.status.code(), Some(1));
    let document = json(&output);
    assert_eq!(states(&document), ["down", "up"]);
    let hung = &document["paths"][0];
    assert_eq!(
        hung["message"],
        "reports path is down: no answer within 2 s"
    );
    assert_eq!(hung["latency_us"], Value::Null);
    assert_eq!(stalled.count(), 1);
}

#[test]
#[ignore = "needs root and FUSE"]
fn nothing_that_hangs_delays_the_others() {
    // Each in a mount of its own: a lookup that hangs locks the directory.
    for (step, asynchronous, state, says) in [
        (
            "lookup",
            true,
            "timeout",
            "looking the file up has not returned within 2 s",
        ),
        (
            "open",
            true,
            "timeout",
            "opening the device has not returned within 2 s",
        ),
        (
            "read",
            false,
            "down",
            "reports path is down: no answer within 2 s",
        ),
    ] {
        let stalled = Stalled::mount(asynchronous);
        let sound = Stalled::mount(asynchronous);
        let files = [stalled.file(step), sound.file("sound"), stalled.file(step)];
        let arguments = ["--json", "-t2"].map(OsStr::new);
        let (output, took) = timed(
            arguments
                .into_iter()
                .chain(files.iter().map(|file| file.as_os_str())),
        );
        within(2, took);
        assert_eq!(output.status.code(), Some(1), "{step}: {output:?}");
        let document = json(&output);
        assert_eq!(states(&document), [state, "up", state], "{step}");
        assert_eq!(document["paths"][0]["message"], says);
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn a_read_that_fails_says_why() {
    let stalled = Stalled::mount(true);
    stalled.release();
    let output = run(["--json".as_ref(), stalled.file("read").as_os_str()]);
    assert_eq!(output.status.code(), Some(1));
    let path = &json(&output)["paths"][0];
    assert_eq!(
        (&path["state"], &path["message"]),
        (&"down".into(), &"reports path is down".into())
    );
    assert_eq!(path["reason"]["text"], "read: Input/output error");
    assert_eq!(path["reason"]["errno"], 5, "EIO");
}

#[test]
#[ignore = "needs root and FUSE"]
fn rows_come_as_soon_as_they_are_known() {
    let stalled = Stalled::mount(true);
    let files = ["sound", "read", "sound"].map(|name| stalled.file(name));
    let start = Instant::now();
    let mut child = command(["-t4"])
        .args(&files)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map(|line| line.unwrap());
    let _header = lines.next().unwrap();
    let mut row = |file: &Path| {
        let row = lines.next().unwrap();
        assert!(row.starts_with(file.to_str().unwrap()), "{row}");
    };
    row(&files[0]);
    row(&files[2]);
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "after {:?}",
        start.elapsed()
    );
    row(&files[1]);
    // No process has the pipe open any more, although one is left with the device.
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "",
            "3 paths: 2 up, 1 down",
            "checker directio: takes no SCSI commands, so it is asked to read"
        ]
    );
    assert_eq!(child.wait().unwrap().code(), Some(1));
    within(4, start.elapsed());
}

#[test]
#[ignore = "needs root and FUSE"]
fn on_a_terminal_rows_do_not_wait_and_are_in_order_in_the_end() {
    let stalled = Stalled::mount(true);
    let files = ["read", "sound"].map(|name| stalled.file(name));
    let program = env!("CARGO_BIN_EXE_pathcheck");
    let [read, sound] = files.each_ref().map(|file| file.display());
    let size = "stty rows 24 cols 200";
    let output = Command::new("script")
        .args(["-qec", &format!("{size}; {program} -t3 {read} {sound}")])
        .arg("/dev/null")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = stdout(&output);
    // Up by the header and two rows, and everything below erased.
    let (early, table) = shown.split_once("\x1b[3A\x1b[J").expect(&shown);
    let rows = |text: &str| -> Vec<String> {
        // After the remains of the progress line.
        let lines = text
            .lines()
            .map(|line| line.rsplit("\x1b[K").next().unwrap());
        let rows = lines.filter(|line| line.contains(" directio "));
        rows.map(|row| row.split(' ').next().unwrap().to_owned())
            .collect()
    };
    let names = [&files[0], &files[1]].map(|file| file.to_str().unwrap().to_owned());
    assert_eq!(rows(table), names, "{shown:?}");
    let mut reversed = names;
    reversed.reverse();
    assert_eq!(rows(early), reversed, "{shown:?}");
}

#[test]
#[ignore = "needs root and FUSE"]
fn hundreds_that_hang_do_not_keep_a_thread_from_the_last() {
    let stalled = Stalled::mount(true);
    let (open, sound) = (stalled.file("open"), stalled.file("sound"));
    let arguments = ["--json", "-t3"].map(OsStr::new).into_iter();
    let arguments = arguments
        .chain([open.as_os_str(); 300])
        .chain([sound.as_os_str()]);
    let (output, took) = timed(arguments);
    within(3, took);
    let document = json(&output);
    let states = states(&document);
    assert_eq!(states[..300], ["timeout"; 300]);
    assert_eq!(states[300], "up");
}

#[test]
#[ignore = "needs root and FUSE"]
fn a_few_that_hang_among_thousands_take_nobody_with_them() {
    let (stalled, sound) = (Stalled::mount(true), Stalled::mount(true));
    let (open, read) = (stalled.file("open"), stalled.file("read"));
    let sound = sound.file("sound");
    let arguments = ["--json", "-t4"].map(OsStr::new).into_iter();
    let part = || [sound.as_os_str(); 1000].into_iter();
    let hung = || [open.as_os_str(), read.as_os_str()].into_iter();
    // Each time as many as there are threads at first.
    let arguments = arguments.chain(hung().cycle().take(8)).chain(part());
    let arguments = arguments.chain(hung().cycle().take(8)).chain(part());
    let (output, took) = timed(arguments);
    within(4, took);
    let document = json(&output);
    for (path, state) in document["paths"]
        .as_array()
        .unwrap()
        .iter()
        .zip(states(&document))
    {
        let expected = match path["device"].as_str() {
            Some(device) if device == open.to_str().unwrap() => "timeout",
            Some(device) if device == read.to_str().unwrap() => "down",
            _ => "up",
        };
        assert_eq!(state, expected, "{path}");
    }
}

#[test]
#[ignore = "needs root and FUSE"]
fn a_worker_goes_when_its_device_answers_and_when_it_is_not_wanted() {
    let stalled = Stalled::mount(true);
    let mut child = command(["-t1000".as_ref(), stalled.file("open").as_os_str()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually(|| workers(child.id()).len() == 1 && stalled.count() == 1);
    let worker = workers(child.id())[0];
    // It goes with the process that wanted it, but for the thread that the kernel keeps.
    child.kill().unwrap();
    child.wait().unwrap();
    eventually(|| !is_alive(worker, worker));
    stalled.release();
    eventually(|| threads(worker).is_empty());
    drop(stalled);
    let stalled = Stalled::mount(true);

    let mut child = command(["-t1".as_ref(), stalled.file("read").as_os_str()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually(|| workers(child.id()).len() == 1);
    let worker = workers(child.id())[0];
    child.wait().unwrap();
    assert!(
        !threads(worker).is_empty(),
        "the kernel keeps it until the read has ended"
    );
    drop(stalled);
    eventually(|| threads(worker).is_empty());
}

#[test]
#[ignore = "needs root and FUSE"]
fn a_worker_that_is_killed_is_reported() {
    let stalled = Stalled::mount(true);
    let mut command = command(["-t1000", "--json"]);
    let child = command
        .arg(stalled.file("read"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    eventually(|| stalled.count() == 1);
    let worker = workers(child.id())[0];
    kill(Pid::from_raw(worker as i32), Signal::SIGKILL).unwrap();
    // The kernel keeps the dying process, and its end of the pipe, until the read has ended.
    stalled.release();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let document = json(&output);
    assert_eq!(states(&document), ["error"]);
    let message = &document["paths"][0]["message"];
    assert_eq!(message, "the worker process ended: signal: 9 (SIGKILL)");
}

#[test]
fn a_worker_without_threads_ends_with_the_program() {
    let directory = directory();
    let device = image(directory.path(), "disk", 1 << 20);
    // Less memory than the stack of a thread needs: every thread that is started fails.
    let status = Command::new("sh")
        .args(["-c", r#"ulimit -d 1024; exec "$0" "$@""#])
        .args([env!("CARGO_BIN_EXE_pathcheck"), "-t1"])
        .arg(&device)
        .env("PATHCHECK_DIRECTORY", directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success());
    eventually(|| with_environment(directory.path()).is_empty());
}

/// The processes that were started with this directory as PATHCHECK_DIRECTORY.
fn with_environment(directory: &Path) -> Vec<u32> {
    let variable = format!("PATHCHECK_DIRECTORY={}", directory.display());
    let process = |entry: std::fs::DirEntry| {
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        let started_so = variables.any(|found| found == variable.as_bytes());
        started_so.then(|| entry.file_name().to_str()?.parse().ok())?
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.filter_map(|entry| process(entry.ok()?)).collect()
}

/// The children of a process.
fn workers(of: u32) -> Vec<u32> {
    let list =
        std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    list.split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// The threads of a process that have not ended. The first may end before the others.
fn threads(process: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    threads
        .map(|thread| {
            thread
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .filter(|thread| is_alive(process, *thread))
        .collect()
}

/// Whether a process has such a thread and it is no zombie.
fn is_alive(process: u32, thread: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/stat"));
    stat.unwrap_or_default()
        .rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn eventually(condition: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < give_up, "not within 20 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "needs root, FUSE and a loop device"]
fn a_queue_that_is_full_keeps_nobody_else() {
    let (stalled, sound) = (Stalled::mount(true), Stalled::mount(true));
    let disk = Loop::attach(&stalled.file("read"), &[]);
    // More readers than the device takes requests: io_submit itself would block for the next.
    let mut readers: Vec<_> = (0..256)
        .map(|block| {
            Command::new("dd")
                .args(["bs=4096", "count=1", "iflag=direct", "of=/dev/null"])
                .args([format!("if={}", disk.device), format!("skip={block}")])
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    eventually(|| readers.iter().all(|reader| is_blocked(reader.id())));
    let (output, took) = timed([
        "--json".as_ref(),
        "-t2".as_ref(),
        OsStr::new(&disk.device),
        sound.file("sound").as_os_str(),
    ]);
    stalled.release();
    for reader in &mut readers {
        reader.wait().unwrap();
    }
    within(2, took);
    let document = json(&output);
    assert_eq!(states(&document), ["down", "up"]);
    let message = &document["paths"][0]["message"];
    assert_eq!(message, "reports path is down: no answer within 2 s");
}

/// Whether a process waits in the kernel and no signal can end it.
fn is_blocked(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('D'))
}
