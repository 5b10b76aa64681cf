//! What random sequences hardly come to: crowds on one dead device, and goodbyes while it is dead.

use crate::judge::Findings;
use crate::never_wait::with_rig;
use crate::options::Subject;
use crate::rig::{Kind, LIMIT, Rig, Usage};
use crate::tally::{OURS, Tally, millis};
use harness::{Doing, Result, Trouble};
use std::time::{Duration, Instant};

/// How many paths say goodbye.
const FEW: usize = 40;

/// A time limit that never passes, in seconds.
const LONG: u32 = 1000;

/// How long the kernel may take to let a process go whose requests have been answered.
const SOON: Duration = Duration::from_secs(10);

/// Many paths on one device that hangs.
#[derive(Clone, Copy)]
struct Crowd {
    name: &'static str,
    paths: usize,
    /// Through a loop device, whose queue they fill.
    loops: bool,
}

/// As many paths as share an AIO context, all of which become orphans.
const ORPHANS: Crowd = Crowd {
    name: "1024 orphans",
    paths: 1024,
    loops: false,
};

/// More paths than the queue of a loop device has room for (128): the last ones find it full.
const FULL_QUEUE: Crowd = Crowd {
    name: "a full queue",
    paths: 300,
    loops: true,
};

/// Tests one of our plugins.
pub(crate) fn run(subject: &Subject, tally: &mut Tally) {
    let name = |scene: &str| format!("{scene}: {}", subject.name());
    if subject.checker == "directio" {
        for crowd in [ORPHANS, FULL_QUEUE] {
            let (devices, loops_from) = crowd.devices();
            let name = name(crowd.name);
            with_rig(subject, &devices, loops_from, &name, tally, |rig, found| {
                let before = aio_nr()?;
                found.play(rig, |rig| crowd.play(rig))?;
                Ok(format!("{}, {}", found.laps.summary(), quota(before)?))
            });
        }
    }
    let devices = [0; FEW];
    with_rig(
        subject,
        &devices,
        1,
        &name("unloaded"),
        tally,
        |rig, found| {
            let before = aio_nr()?;
            found.play(rig, unload)?;
            Ok(format!("{}, {}", found.laps.summary(), quota(before)?))
        },
    );
    exit(subject, tally);
}

/// C's directio, where it is known to wait.
pub(crate) fn run_with_c(subject: &Subject, tally: &mut Tally) {
    if subject.checker != "directio" {
        return;
    }
    for crowd in [ORPHANS, FULL_QUEUE] {
        let (devices, loops_from) = crowd.devices();
        let name = format!("noticed, {}: {}", crowd.name, subject.name());
        with_rig(subject, &devices, loops_from, &name, tally, |rig, found| {
            let played = crowd.play(rig);
            found.laps.add(&rig.take_laps());
            played.map_err(|trouble| trouble.to_string())?;
            let summary = found.laps.summary();
            match found.laps.slower_than(LIMIT).is_empty() {
                true => Err(format!("it waits, and that was not noticed: {summary}")),
                false => Ok(summary),
            }
        });
    }
}

impl Crowd {
    fn devices(self) -> (Vec<usize>, usize) {
        (vec![0; self.paths], usize::from(!self.loops))
    }

    /// All paths hang, are given up, and new ones come; in the end the device answers.
    fn play(self, rig: &mut Rig) -> Result<()> {
        let base: Usage = rig.usage()?;
        for _ in 0..2 {
            rig.hang_all()?;
            for path in 0..self.paths {
                rig.init(path, LONG)?;
            }
            for function in ["check", "need-wait", "pending", "check"] {
                for path in 0..self.paths {
                    quick(rig.ours(), function, rig.call(function, path)?.endless)?;
                }
            }
            if rig.ours() {
                // C's contexts would be gone with paths in them.
                quick(true, "reset", rig.reset()?.endless)?;
            }
            for path in 0..self.paths {
                quick(rig.ours(), "free", rig.call("free", path)?.endless)?;
            }
            quick(rig.ours(), "reset", rig.reset()?.endless)?;
        }
        rig.heal_all()?;
        rig.rest(base)
    }
}

/// A call that lasts as long as a device hangs is beyond any doubt.
fn quick(ours: bool, function: &str, endless: bool) -> Result<()> {
    match endless && ours {
        true => Err(Trouble::Broken(format!("{function} waited for a device"))),
        false => Ok(()),
    }
}

/// The plugin is unloaded while what its paths have started hangs, and loaded again.
fn unload(rig: &mut Rig) -> Result<()> {
    let base = rig.usage()?;
    start_and_hang(rig)?;
    for path in 0..rig.paths() {
        quick(true, "free", rig.call("free", path)?.endless)?;
    }
    quick(true, "unload", rig.unload()?.endless)?;
    // Unloading closed the files, too, as a host does that drops its paths.
    rig.load()?;
    rig.heal_all()?;
    rig.rest(base)?;
    // Which is as good as new.
    rig.init(0, LONG)?;
    let start = Instant::now();
    let healthy = rig.dialect().healthy;
    loop {
        let mut states = ["check", "pending"].into_iter();
        let state = states.try_fold(None, |found, function| {
            let state = crate::model::State::from_raw(rig.call(function, 0)?.answer);
            Ok::<_, Trouble>(found.or((state == healthy).then_some(state)))
        })?;
        if state.is_some() {
            break;
        }
        if start.elapsed() > SOON {
            return Err(Trouble::Broken("loaded again, it does not work".to_owned()));
        }
    }
    rig.call("free", 0)?;
    rig.rest(base)
}

/// The process ends while everything hangs. What the kernel does then is its own affair: it keeps a
/// process until its asynchronous reads have ended.
fn exit(subject: &Subject, tally: &mut Tally) {
    let name = format!("exits: {}", subject.name());
    let mut spans = Vec::new();
    // The clock is all that tells here, and on a busy machine it tells the shortest of a few.
    for _ in 0..10 {
        let mut once = None;
        let last = match Rig::new(subject, &[0; FEW], 1) {
            Ok(mut rig) => {
                rig.hurry();
                exit_once(&mut rig, &mut once)
            }
            Err(Trouble::NotHere(why)) => return tally.skip(format!("{name}: {why}")),
            Err(trouble) => Err(trouble.to_string()),
        };
        spans.extend(once);
        match (last, once) {
            (Err(why), _) => return tally.end(&name, Err(why)),
            (Ok(note), Some(span)) if span <= LIMIT => {
                let mut found = Findings::default();
                found.laps.note("exit", span, span, &subject.name());
                found.record(tally, OURS);
                return tally.end(&name, Ok(format!("{:.1} ms, {note}", millis(span))));
            }
            _ => {}
        }
    }
    tally.end(&name, Err(format!("took {spans:?}")));
}

fn exit_once(rig: &mut Rig, span: &mut Option<Duration>) -> std::result::Result<String, String> {
    let words = |trouble: Trouble| trouble.to_string();
    let before = aio_nr()?;
    start_and_hang(rig).map_err(words)?;
    *span = Some(rig.exit().map_err(words)?);
    let note = match rig.kind() {
        Kind::Scsi => "and is gone".to_owned(),
        Kind::Aio => {
            let kept = !rig.is_gone(Duration::from_millis(30)).map_err(words)?;
            rig.heal_all().map_err(words)?;
            let kept = if kept {
                "the kernel keeps it until the reads end"
            } else {
                "and is gone"
            };
            format!("{kept}, {}", quota(before)?)
        }
    };
    if rig.is_gone(SOON).map_err(words)? {
        Ok(note)
    } else {
        Err("the process stays".to_owned())
    }
}

fn start_and_hang(rig: &mut Rig) -> Result<()> {
    rig.hang_all()?;
    for path in 0..rig.paths() {
        rig.init(path, LONG)?;
    }
    for path in 0..rig.paths() {
        quick(true, "check", rig.call("check", path)?.endless)?;
    }
    Ok(())
}

/// fs.aio-nr: how many events all AIO contexts of the system together have room for.
fn aio_nr() -> std::result::Result<u64, String> {
    let path = "/proc/sys/fs/aio-nr";
    let text = std::fs::read_to_string(path).doing(path);
    let text = text.map_err(|trouble| trouble.to_string())?;
    text.trim().parse().map_err(|_| format!("{path}: {text:?}"))
}

/// Waits until the system's AIO quota is back where it was `before`.
fn quota(before: u64) -> std::result::Result<String, String> {
    let start = Instant::now();
    loop {
        let now = aio_nr()?;
        if now <= before {
            return Ok(format!("aio-nr {before} again"));
        }
        if start.elapsed() > SOON {
            // That of our host is seen to be gone elsewhere, by its own memory.
            return match somebody_has_contexts() {
                true => Ok(format!("aio-nr {now}, others have contexts")),
                false => Err(format!("aio-nr was {before} and stays {now}")),
            };
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether any process has an AIO context.
fn somebody_has_contexts() -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.into_iter().any(|process| {
        std::fs::read_to_string(process.path().join("maps"))
            .is_ok_and(|maps| maps.contains("[aio]"))
    })
}
