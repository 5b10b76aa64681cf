//! The scenarios: what breaks, in which order, and what the daemon has to say about it.
//!
//! The limits are generous: they tell a path that moves from one that is stuck. How fast it moves
//! is compared with the C checkers' times, not with a constant.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::disk::{Address, Disk};
use super::lab::Lab;
use super::scsi_debug::{self, Reply};
use super::want::Want;
use super::{lio, wait_until};
use crate::event::Path::{self, A, B};
use crate::event::StepKind;
use crate::job::Checker;

/// One thing that can happen to a disk.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// One line for `--list`.
    pub(crate) about: &'static str,
    /// Part of the short form.
    pub(crate) short: bool,
    /// What happens to the paths between fault and end is chance: it hits any command, or meets a
    /// check under way.
    pub(crate) chance: bool,
    /// The disk it is played on.
    pub(super) target: Target,
    pub(super) act: fn(&mut Lab) -> Result<()>,
}

/// Where a disk comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// The kernel's simulated disk.
    ScsiDebug,
    /// The kernel's SCSI target over device-mapper.
    Lio,
}

impl Scenario {
    const fn new(name: &'static str, about: &'static str, act: fn(&mut Lab) -> Result<()>) -> Self {
        Scenario {
            name,
            about,
            short: false,
            chance: false,
            target: Target::ScsiDebug,
            act,
        }
    }

    const fn short(self) -> Self {
        Scenario {
            short: true,
            ..self
        }
    }

    const fn by_chance(self) -> Self {
        Scenario {
            chance: true,
            ..self
        }
    }

    const fn on(self, target: Target) -> Self {
        Scenario { target, ..self }
    }

    /// True if the scenario says anything about this checker.
    pub(crate) fn suits(&self, checker: Checker) -> bool {
        let fits = first_word(checker) == Want::Active;
        match self.target {
            _ if self.name == FOREIGN => !fits,
            Target::ScsiDebug => fits,
            // What the other checkers ask for, the target may not know.
            Target::Lio => {
                matches!(
                    checker,
                    Checker::Tur | Checker::Directio | Checker::Readsector0
                )
            }
        }
    }
}

/// What a checker says of a healthy disk that has no vendor's commands.
pub(super) fn first_word(checker: Checker) -> Want {
    match checker {
        Checker::Tur | Checker::Directio | Checker::Readsector0 | Checker::HpSw => Want::Active,
        // Their vital product data page is an illegal request: WILD, so the daemon knows nothing.
        Checker::Rdac | Checker::EmcClariion => Want::Untold,
        // Its ioctl is unknown.
        Checker::CcissTur => Want::Failed,
    }
}

/// The scenario of the checkers that do not fit the disk.
const FOREIGN: &str = "foreign";

/// All scenarios, in the order in which they are played.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("healthy", "both paths answer; nothing happens", healthy),
    Scenario::new(
        FOREIGN,
        "a checker meets a disk it is not made for",
        foreign,
    )
    .short(),
    Scenario::new("offline", "one path goes offline and comes back", offline).short(),
    Scenario::new(
        "delete",
        "one path is deleted and found again by a scan",
        delete,
    ),
    Scenario::new(
        "hang",
        "every command of both paths hangs, then all are answered",
        hang,
    )
    .short(),
    Scenario::new("stop", "the unit is stopped and started again", stop).by_chance(),
    Scenario::new(
        "attention",
        "device resets leave unit attentions",
        attention,
    ),
    Scenario::new("recovered", "some replies say RECOVERED ERROR", recovered).by_chance(),
    Scenario::new(
        "transport",
        "some commands end in a transport error",
        transport,
    )
    .by_chance(),
    Scenario::new("aborted", "some commands are aborted under way", aborted).by_chance(),
    Scenario::new("busy", "the hosts refuse some commands as busy", busy).by_chance(),
    Scenario::new("short", "some transfers are too short", short).by_chance(),
    Scenario::new(
        "unmapped",
        "the unit is taken away from both hosts and given back",
        unmapped,
    )
    .by_chance(),
    Scenario::new(
        "flap",
        "one path goes away and comes back again and again",
        flap,
    ),
    Scenario::new(
        "list",
        "multipath -ll, with healthy and with hung paths",
        list,
    ),
    Scenario::new(
        "reconfigure",
        "multipathd reconfigure while every command hangs",
        reconfigure,
    )
    .short(),
    Scenario::new(
        "shutdown",
        "multipathd is told to end while every command hangs",
        shutdown,
    ),
    Scenario::new(
        "quiesce",
        "reads and writes of one path hang, TEST UNIT READY does not",
        quiesce,
    )
    .on(Target::Lio),
    Scenario::new(
        "quiesce-list",
        "multipath -ll while one path is quiesced",
        quiesce_list,
    )
    .on(Target::Lio),
    Scenario::new(
        "quiesce-reconfigure",
        "multipathd reconfigure while one path is quiesced",
        quiesce_reconfigure,
    )
    .on(Target::Lio)
    .short(),
    Scenario::new(
        "quiesce-shutdown",
        "multipathd is told to end while one path is quiesced",
        quiesce_shutdown,
    )
    .on(Target::Lio)
    .short(),
];

/// Finds a scenario by its name.
pub(crate) fn find(name: &str) -> Result<&'static Scenario> {
    SCENARIOS
        .iter()
        .find(|scenario| scenario.name == name)
        .with_context(|| format!("no scenario {name}"))
}

fn healthy(lab: &mut Lab) -> Result<()> {
    lab.stays(A, Want::Active, 5);
    lab.stays(B, Want::Active, 1);
    lab.io_flows(10);
    Ok(())
}

fn foreign(lab: &mut Lab) -> Result<()> {
    let first = first_word(lab.checker());
    lab.stays(A, first, 5);
    lab.stays(B, first, 1);
    Ok(())
}

fn offline(lab: &mut Lab) -> Result<()> {
    lab.fault("A goes offline", |disk| disk.set_state(A, "offline"))?;
    lab.expect(A, Want::Failed, 20);
    lab.stays(B, Want::Active, 3);
    lab.io_flows(20);
    lab.release("A is running again", |disk| disk.set_state(A, "running"))?;
    lab.expect(A, Want::Active, 20);
    Ok(())
}

fn delete(lab: &mut Lab) -> Result<()> {
    lab.fault("A is deleted", |disk| disk.delete(A))?;
    lab.expect(A, Want::Gone, 30);
    lab.stays(B, Want::Active, 3);
    lab.io_flows(20);
    lab.release("A is found again", |disk| disk.rescan(A))?;
    lab.expect(A, Want::Active, 30);
    Ok(())
}

fn hang(lab: &mut Lab) -> Result<()> {
    lab.fault("every command hangs", |_| {
        scsi_debug::reply(Reply::Never, 1)
    })?;
    lab.expect_both(Want::Failed, 90);
    lab.stays(A, Want::Failed, if lab.short() { 3 } else { 10 });
    lab.release(ANSWER.0, ANSWER.1)?;
    lab.expect_both(Want::Active, 90);
    lab.io_flows(90);
    Ok(())
}

fn stop(lab: &mut Lab) -> Result<()> {
    lab.fault("A's unit is stopped", |disk| disk.spin(A, false))?;
    lab.expect(A, Want::Failed, 30);
    lab.release("A's unit is started", |disk| disk.spin(A, true))?;
    lab.expect(A, Want::Active, 30);
    lab.io_flows(30);
    Ok(())
}

fn attention(lab: &mut Lab) -> Result<()> {
    for idle in [false, true] {
        // With the load running, its commands meet the unit attention; without, the checker's do.
        lab.pause_load(idle);
        for _ in 0..4 {
            for path in Path::BOTH {
                lab.fault(&format!("{path} is reset"), |disk| disk.reset(path))?;
            }
            sleep(Duration::from_secs(1));
        }
    }
    lab.pause_load(false);
    lab.stays(A, Want::Active, 2);
    lab.stays(B, Want::Active, 1);
    lab.io_flows(20);
    Ok(())
}

fn recovered(lab: &mut Lab) -> Result<()> {
    bad_replies(lab, Reply::Recovered)
}

fn transport(lab: &mut Lab) -> Result<()> {
    bad_replies(lab, Reply::Transport)
}

fn aborted(lab: &mut Lab) -> Result<()> {
    // To the kernel an aborted command has timed out, and after a few of those it gives a disk up.
    Path::BOTH
        .into_iter()
        .try_for_each(|path| lab.disk().tolerate_timeouts(path, u32::MAX))?;
    set_delay(lab, true)?;
    let before = scsi_debug::aborts()?;
    bad_replies(lab, Reply::Aborted)?;
    let count = scsi_debug::aborts()? - before;
    lab.step(
        format!("{count} commands were aborted"),
        count > 0,
        StepKind::Other,
    );
    set_delay(lab, false)
}

/// Between two commands only: the load is held, and the checkers' own commands are short.
fn set_delay(lab: &Lab, at_once: bool) -> Result<()> {
    lab.pause_load(true);
    let set = wait_until(COMMAND_LIMIT, || {
        scsi_debug::answer_at_once(at_once).is_ok()
    });
    lab.pause_load(false);
    ensure!(set, "scsi_debug is always busy");
    Ok(())
}

fn busy(lab: &mut Lab) -> Result<()> {
    bad_replies(lab, Reply::Busy)
}

fn short(lab: &mut Lab) -> Result<()> {
    bad_replies(lab, Reply::Short)
}

/// Every third command gets a bad reply. The kernel may fail a path for it, the checker has to
/// bring it back; the end is what counts.
fn bad_replies(lab: &mut Lab, reply: Reply) -> Result<()> {
    lab.fault("every third reply is bad", |_| scsi_debug::reply(reply, 3))?;
    sleep(Duration::from_secs(if lab.short() { 4 } else { 10 }));
    lab.release("replies are good", scsi_debug::reply_well)?;
    lab.expect_both(Want::Active, 30);
    lab.io_flows(60);
    Ok(())
}

fn unmapped(lab: &mut Lab) -> Result<()> {
    lab.fault("the unit is taken away", |_| scsi_debug::map_unit(false))?;
    lab.expect_both(Want::Failed, 30);
    // The kernel fails the paths at once; a check that began before may bring one back, once.
    sleep(Duration::from_secs(2));
    wait_until(Duration::from_secs(10), || lab.is(A, Want::Failed));
    lab.stays(A, Want::Failed, 3);
    lab.release("the unit is given back", |_| scsi_debug::map_unit(true))?;
    lab.expect_both(Want::Active, 30);
    lab.io_flows(30);
    Ok(())
}

fn flap(lab: &mut Lab) -> Result<()> {
    for _ in 0..if lab.short() { 3 } else { 10 } {
        lab.fault("A goes offline", |disk| disk.set_state(A, "offline"))?;
        sleep(Duration::from_secs(3));
        lab.release("A is running again", |disk| disk.set_state(A, "running"))?;
        sleep(Duration::from_secs(3));
    }
    lab.expect(A, Want::Active, 20);
    lab.stays(B, Want::Active, 1);
    lab.io_flows(20);
    Ok(())
}

/// How long a hung device is watched hanging. Much longer, and the kernel's error recovery takes
/// the device offline.
fn patience(lab: &Lab) -> Duration {
    Duration::from_secs(if lab.short() { 10 } else { 45 })
}

/// How long a command of the administrator may take once nothing hangs any more.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// What makes hung commands go on.
#[derive(Clone, Copy)]
struct Remedy(&'static str, fn(&Disk) -> Result<()>);

const ANSWER: Remedy = Remedy("commands are answered again", scsi_debug::reply_well);
const RESUME: Remedy = Remedy("A's reads go on", |_| lio::resume(A));

fn hang_all(lab: &mut Lab) -> Result<()> {
    lab.fault("every command hangs", |_| {
        scsi_debug::reply(Reply::Never, 1)
    })?;
    // By then a check of each path is under way.
    sleep(Duration::from_secs(2));
    Ok(())
}

fn quiesce_a(lab: &mut Lab) -> Result<()> {
    lab.fault("A's reads hang", |_| lio::quiesce(A))?;
    sleep(Duration::from_secs(2));
    Ok(())
}

/// How something went that was begun while a device hung.
struct Despite {
    took: Duration,
    ended: bool,
    /// It ended only after the remedy.
    waited: bool,
}

/// Watches something that ought to be done although a device hangs. What is not has to be after
/// the remedy, which is applied in any case.
fn despite_hang(
    lab: &mut Lab,
    remedy: Remedy,
    mut done: impl FnMut(&mut Lab) -> bool,
    meanwhile: fn(&mut Lab),
) -> Result<Despite> {
    let begin = Instant::now();
    let in_time = wait_until(patience(lab), || done(lab));
    let mut took = begin.elapsed();
    if in_time {
        meanwhile(lab);
    }
    lab.release(remedy.0, remedy.1)?;
    let ended = in_time || wait_until(COMMAND_LIMIT, || done(lab));
    if !in_time {
        took = begin.elapsed();
    }
    Ok(Despite {
        took,
        ended,
        waited: !in_time,
    })
}

fn nothing(_: &mut Lab) {}

fn list(lab: &mut Lab) -> Result<()> {
    let mut healthy = Listing::start()?;
    let begin = Instant::now();
    let ended = wait_until(COMMAND_LIMIT, || healthy.ended());
    lab.took("multipath -ll, healthy", begin.elapsed(), ended, false);
    let (a, b) = healthy.words(lab.disk())?;
    let both_ready = a == "ready" && b == "ready";
    lab.step(format!("lists A {a}, B {b}"), both_ready, StepKind::Other);
    hang_all(lab)?;
    // What it says depends on when its commands ended.
    list_hung(lab, ANSWER)?;
    Ok(())
}

fn quiesce_list(lab: &mut Lab) -> Result<()> {
    quiesce_a(lab)?;
    let (a, b) = list_hung(lab, RESUME)?;
    let a_right = match lab.checker() {
        // Its read is asynchronous, its own limit counts.
        Checker::Directio => a != "ready",
        // Its read cannot be given up: it ends when A's reads go on.
        Checker::Readsector0 => true,
        _ => a == "ready",
    };
    let right = a_right && b == "ready";
    lab.step(format!("listed A {a}, B {b}"), right, StepKind::Other);
    Ok(())
}

/// `multipath -ll` while something hangs, and the words it had for the two paths.
fn list_hung(lab: &mut Lab, remedy: Remedy) -> Result<(String, String)> {
    let mut hung = Listing::start()?;
    let how = despite_hang(lab, remedy, |_| hung.ended(), nothing)?;
    lab.took("multipath -ll, hung", how.took, how.ended, how.waited);
    lab.expect_both(Want::Active, 90);
    hung.words(lab.disk())
}

/// A running `multipath -ll`, which checks the paths by itself and waits for the result.
struct Listing(Child);

impl Listing {
    fn start() -> Result<Listing> {
        let mut multipath = Command::new("multipath");
        multipath
            .arg("-ll")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Ok(Listing(multipath.spawn()?))
    }

    fn ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// The checkers' words for both paths, once it has ended.
    fn words(&mut self, disk: &Disk) -> Result<(String, String)> {
        ensure!(self.ended(), "multipath -ll does not end");
        let mut text = String::new();
        if let Some(stdout) = &mut self.0.stdout {
            stdout.read_to_string(&mut text)?;
        }
        let [a, b] = disk.addresses();
        Ok((listed(&text, a), listed(&text, b)))
    }
}

/// The word of a path's line: address, kernel name, numbers, dm state, checker state, SCSI state.
fn listed(text: &str, address: &Address) -> String {
    let of_line = |line: &str| -> Option<String> {
        let mut words = line.split_whitespace().skip_while(|word| !address.is(word));
        let (_address, _name, _numbers, _dm) =
            (words.next()?, words.next()?, words.next()?, words.next()?);
        let mut word: Vec<&str> = words.collect();
        word.pop()?;
        Some(word.join(" "))
    };
    text.lines()
        .find_map(of_line)
        .unwrap_or_else(|| "missing".to_owned())
}

impl Drop for Listing {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

fn reconfigure(lab: &mut Lab) -> Result<()> {
    hang_all(lab)?;
    reconfigure_hung(lab, ANSWER, |lab| lab.expect_both(Want::Failed, 30))
}

fn quiesce_reconfigure(lab: &mut Lab) -> Result<()> {
    quiesce_a(lab)?;
    reconfigure_hung(lab, RESUME, expect_quiesced)
}

/// The daemon reads its configuration, drops all paths and finds them again; then `meanwhile`
/// tells what it thinks of them.
fn reconfigure_hung(lab: &mut Lab, remedy: Remedy, meanwhile: fn(&mut Lab)) -> Result<()> {
    let before = lab.configurations();
    // The reply does not wait for the work.
    lab.ask("reconfigure", COMMAND_LIMIT)?;
    let done = |lab: &mut Lab| lab.has_reconfigured(before);
    let how = despite_hang(lab, remedy, done, meanwhile)?;
    lab.took("reconfigure, hung", how.took, how.ended, how.waited);
    lab.expect_both(Want::Active, 90);
    lab.io_flows(90);
    Ok(())
}

fn shutdown(lab: &mut Lab) -> Result<()> {
    hang_all(lab)?;
    shutdown_hung(lab, ANSWER)
}

fn quiesce_shutdown(lab: &mut Lab) -> Result<()> {
    quiesce_a(lab)?;
    shutdown_hung(lab, RESUME)
}

/// The daemon's work is done with its last line in the log. Its process may last longer: the
/// kernel keeps one until its asynchronous reads have ended, whatever the program does.
fn shutdown_hung(lab: &mut Lab, remedy: Remedy) -> Result<()> {
    let begin = Instant::now();
    lab.terminate_daemon()?;
    let how = despite_hang(lab, remedy, |lab| lab.daemon_ended(), nothing)?;
    let work = lab.last_words().saturating_duration_since(begin);
    lab.took(
        "shutdown work, hung",
        work,
        how.ended,
        how.waited && work > patience(lab),
    );
    lab.took("process ends, hung", how.took, how.ended, false);
    lab.start_daemon()?;
    lab.expect_both(Want::Active, 90);
    lab.io_flows(90);
    Ok(())
}

fn quiesce(lab: &mut Lab) -> Result<()> {
    quiesce_a(lab)?;
    expect_quiesced(lab);
    lab.stays(B, Want::Active, 5);
    lab.release(RESUME.0, RESUME.1)?;
    lab.expect_both(Want::Active, 30);
    lab.io_flows(60);
    Ok(())
}

/// A checker that reads has to fail the path; one that asks for readiness only cannot know.
fn expect_quiesced(lab: &mut Lab) {
    match lab.checker() {
        Checker::Directio | Checker::Readsector0 => lab.expect(A, Want::Failed, 30),
        _ => lab.stays(A, Want::Active, 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_path_is_found_in_a_listing() {
        let text = "mpatha (lab-disk) dm-0 Linux,scsi_debug\n\
                    size=64M features='1 queue_if_no_path' hwhandler='0' wp=rw\n\
                    `-+- policy='service-time 0' prio=1 status=active\n  \
                      |- 0:0:0:0 sda 8:0  active ready running\n  \
                      `- 1:0:0:0 sdb 8:16 failed i/o timeout offline\n";
        let word = |address| listed(text, &Address::new(address));
        assert_eq!(word("0:0:0:0"), "ready");
        assert_eq!(word("1:0:0:0"), "i/o timeout");
        assert_eq!(word("2:0:0:0"), "missing");
    }
}
