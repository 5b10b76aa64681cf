// SPDX-License-Identifier: LGPL-2.0-or-later

//! Running a test in a process of its own.

use crate::system::System;
use harness::abi::Abi;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, Once, PoisonError};

/// Runs `body` in a process of its own, with the shim preloaded. With an ABI, the shim also exports what a
/// libmultipath of that ABI does; without, the test names the ABI.
pub(crate) fn isolated(host: Option<Abi>, body: impl FnOnce(System)) {
    isolated_with(host, |_| {}, body);
}

/// As [`isolated`]; `prepare` may change the command that starts the process.
pub(crate) fn isolated_with(
    host: Option<Abi>,
    prepare: impl Fn(&mut Command),
    body: impl FnOnce(System),
) {
    const MARK: &str = "CHECKERS_TEST_ISOLATED";
    let name = test_name();
    if std::env::var(MARK).is_ok_and(|inside| inside == name) {
        return body(System::find());
    }
    build_plugins();
    let shim = build_shim(host);
    // A test that hangs has found something.
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "120"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(MARK, &name)
        .env("LD_PRELOAD", shim);
    prepare(&mut command);
    let output = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{name}: {}\n{stdout}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The calling test's name: tests run in threads that are named after them.
fn test_name() -> String {
    std::thread::current().name().unwrap().to_owned()
}

/// Adds an object to `LD_PRELOAD`, before the shim.
pub(crate) fn preload(command: &mut Command, object: &Path) {
    let shim = command
        .get_envs()
        .find(|(name, _)| *name == "LD_PRELOAD")
        .and_then(|(_, value)| value)
        .unwrap();
    let both = format!("{}:{}", object.display(), shim.to_string_lossy());
    command.env("LD_PRELOAD", both);
}

/// The directory with what cargo builds in this profile.
pub(crate) fn built() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.parent().unwrap().parent().unwrap().to_owned()
}

/// The directory for the calling test's C objects.
fn c_objects() -> PathBuf {
    let test = test_name().replace("::", "-");
    built().join(format!("plugins-{test}-{}", std::process::id()))
}

/// Removes what [`compile_c`] has made for the calling test.
pub(crate) fn remove_c_objects() {
    match std::fs::remove_dir_all(c_objects()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        result => result.unwrap(),
    }
}

/// Compiles C source into a shared object, in a directory of the calling test. Returns the file's path.
pub(crate) fn compile_c(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let directory = c_objects();
    std::fs::create_dir_all(&directory).unwrap();
    let object = directory.join(name);
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or("cc".into()))
        .args(["-xc", "-", "-shared", "-fPIC", "-O1", "-Wall", "-Werror"])
        .args(flags)
        .arg("-o")
        .arg(&object)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut cc.stdin.take().unwrap(), source.as_bytes()).unwrap();
    assert!(cc.wait().unwrap().success(), "{name} does not build");
    object
}

fn build_plugins() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let profile = built().file_name().unwrap().to_string_lossy().into_owned();
        let profile = if profile == "debug" {
            "dev".into()
        } else {
            profile
        };
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--profile", &profile]);
        for name in checkers::NAMES {
            cargo.args(["--package", &format!("plugin-{}", name.replace('_', "-"))]);
        }
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.env("CARGO_TARGET_DIR", built().parent().unwrap());
        assert!(
            cargo.status().unwrap().success(),
            "the plugins do not build"
        );
    });
}

/// Builds the shim for a host, once. Returns the file's path.
fn build_shim(host: Option<Abi>) -> PathBuf {
    static BUILT: Mutex<Vec<Option<Abi>>> = Mutex::new(Vec::new());
    let mut done = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let name = host.map_or("none", Abi::name);
    let shim = built().join(format!("plugins-shim-{name}.so"));
    if done.contains(&host) {
        return shim;
    }
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.args(["--edition", "2024", "--crate-type", "cdylib", "-O"]);
    rustc.args(["-C", "panic=abort", "-o"]).arg(&shim);
    rustc.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugins/shim.rs"));
    if host.is_some() {
        rustc.args(["--cfg", "host", "--cfg", &format!("host=\"{name}\"")]);
    }
    assert!(rustc.status().unwrap().success(), "the shim does not build");
    done.push(host);
    shim
}
