// SPDX-License-Identifier: LGPL-2.0-or-later

//! Fork, signals, stops, cancelled threads and large static TLS, in hosts in the role `scenes`.

#![forbid(unsafe_code)]

use crate::lanes;
use crate::options::{Options, Subject};
use crate::report::Report;
use harness::abi::Abi;
use harness::process::TestHost;
use harness::{Doing, Result, Trouble};
use robustness::protocol::{Scene, SceneOrder};
use std::path::Path;
use std::time::Duration;

/// No scene takes so long in the long form either, unless it hangs.
const LIMIT: Duration = Duration::from_secs(900);

/// Runs every scene.
pub(crate) fn run(options: &Options, report: &mut Report) {
    let many = if options.long { 20 } else { 1 };
    // The scene, how often, and the static TLS of the process in bytes.
    let scenes = [
        (Scene::Fork, 100 * many, 0),
        (Scene::Signals, 120 * many, 0),
        (Scene::Stop, 2 * many, 0),
        (Scene::StopLate, 1 + many / 4, 0),
        (Scene::Cancel, 40 * many, 0),
        (Scene::NoThread, 2000 * many, 0),
        (Scene::Crowd, 20 * many, 0),
        (Scene::Crowd, 20, 22_000),
        (Scene::Crowd, 20, 40_000),
        (Scene::Crowd, 20, 1_000_000),
    ];
    let file = match lanes::file() {
        Ok(file) => file,
        Err(trouble) => return report.end("scenes", Err(trouble)),
    };
    let subjects: Vec<Subject> = options
        .ours()
        .into_iter()
        .filter(|subject| options.long || is_representative(subject))
        .collect();
    if subjects.is_empty() {
        let why = format!("no plugins in {}", options.ours.display());
        report.end("scenes", Err(Trouble::NotHere(why)));
    }
    for (scene, count, tls) in scenes {
        let results = lanes::all(&subjects, |subject| {
            one(subject, scene, count, tls, file.path())
        });
        for (subject, result) in subjects.iter().zip(results) {
            let tls = match tls {
                0 => String::new(),
                bytes => format!(" with {bytes} bytes of static TLS"),
            };
            report.end(&format!("{scene:?}{tls}: {}", subject.name()), result);
        }
    }
}

/// All checkers but directio share one asynchronous core; rdac has a setup besides.
fn is_representative(subject: &Subject) -> bool {
    match (subject.checker.as_str(), subject.abi) {
        ("tur" | "directio", abi) => abi != Abi::V0_15,
        ("rdac", abi) => abi == Abi::V0_11,
        _ => false,
    }
}

fn one(subject: &Subject, scene: Scene, count: u32, tls: u32, file: &Path) -> Result<String> {
    let mut command = lanes::command(subject, "scenes")?;
    if tls > 0 {
        let tunable = format!("glibc.rtld.optional_static_tls={tls}");
        command.env("GLIBC_TUNABLES", tunable);
    }
    let mut host = TestHost::start_with_limit(&mut command, Some(LIMIT))?;
    let order = SceneOrder {
        plugin: lanes::plugin(subject)?,
        file: file.to_owned(),
        scene,
        count,
    };
    host.send(&order).doing("giving an order")?;
    let reply = host.receive();
    if reply.is_err() {
        host.process().kill().doing("ending a host that hangs")?;
    }
    let result: Option<Result<String>> = reply.doing("waiting for a scene")?;
    host.end()?;
    result.ok_or_else(|| Trouble::Broken("the host ended early".to_owned()))?
}
