//! The scenarios: what breaks, in which order, and what the daemon has to say about it.
//!
//! The limits are generous: they tell a path that moves from one that is stuck. How fast it moves
//! is compared with the C checkers' times, not with a constant.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::disk::Reply;
use super::lab::{Lab, Want};
use super::wait_until;
use crate::event::Path::{self, A, B};

/// One thing that can happen to a disk.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// One line for `--list`.
    pub(crate) about: &'static str,
    pub(super) act: fn(&mut Lab) -> Result<()>,
}

/// All scenarios, in the order in which they are played.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "healthy",
        about: "both paths answer; nothing happens",
        act: healthy,
    },
    Scenario {
        name: "offline",
        about: "one path goes offline and comes back",
        act: offline,
    },
    Scenario {
        name: "delete",
        about: "one path is deleted and found again by a scan",
        act: delete,
    },
    Scenario {
        name: "hang",
        about: "every command of both paths hangs, then all come back",
        act: hang,
    },
    Scenario {
        name: "stop",
        about: "the unit is stopped and started again",
        act: stop,
    },
    Scenario {
        name: "attention",
        about: "device resets leave unit attentions",
        act: attention,
    },
    Scenario {
        name: "recovered",
        about: "some replies say RECOVERED ERROR",
        act: recovered,
    },
    Scenario {
        name: "transport",
        about: "some commands end in a transport error",
        act: transport,
    },
    Scenario {
        name: "aborted",
        about: "some commands are aborted under way",
        act: aborted,
    },
    Scenario {
        name: "busy",
        about: "the hosts refuse some commands as busy",
        act: busy,
    },
    Scenario {
        name: "short",
        about: "some transfers are too short",
        act: short,
    },
    Scenario {
        name: "unmapped",
        about: "the unit is taken away from both hosts and given back",
        act: unmapped,
    },
    Scenario {
        name: "flap",
        about: "one path goes away and comes back again and again",
        act: flap,
    },
    Scenario {
        name: "list",
        about: "multipath -ll, with healthy and with hung paths",
        act: list,
    },
    Scenario {
        name: "reconfigure",
        about: "multipathd reconfigure while every command hangs",
        act: reconfigure,
    },
    Scenario {
        name: "shutdown",
        about: "multipathd is told to end while every command hangs",
        act: shutdown,
    },
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
    lab.fault("every command hangs", |disk| disk.reply(Reply::Never, 1))?;
    lab.expect_both(Want::Failed, 90);
    lab.stays(A, Want::Failed, 5);
    lab.release("commands are answered again", |disk| disk.reply_well())?;
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
    bad_replies(lab, Reply::Aborted)
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
    lab.fault("every third reply is bad", |disk| disk.reply(reply, 3))?;
    sleep(Duration::from_secs(if lab.short() { 4 } else { 10 }));
    lab.release("replies are good", |disk| disk.reply_well())?;
    lab.expect_both(Want::Active, 30);
    lab.io_flows(60);
    Ok(())
}

fn unmapped(lab: &mut Lab) -> Result<()> {
    lab.fault("the unit is taken away", |disk| disk.map_unit(false))?;
    lab.expect_both(Want::Failed, 30);
    lab.stays(A, Want::Failed, 3);
    lab.release("the unit is given back", |disk| disk.map_unit(true))?;
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
const HANG: Duration = Duration::from_secs(45);
/// How long an administrator's command may take once nothing hangs any more.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

fn list(lab: &mut Lab) -> Result<()> {
    Listing::start("multipath -ll, healthy")?.end(lab)?;
    lab.fault("every command hangs", |disk| disk.reply(Reply::Never, 1))?;
    sleep(Duration::from_secs(2));
    let mut listing = Listing::start("multipath -ll, hung")?;
    if !listing.ended_within(HANG) {
        lab.note(format!(
            "multipath -ll waits for the hung device for {} s",
            HANG.as_secs()
        ));
    }
    lab.release("commands are answered again", |disk| disk.reply_well())?;
    listing.end(lab)?;
    lab.expect_both(Want::Active, 90);
    Ok(())
}

/// A running `multipath -ll`, which checks the paths by itself and waits for the result.
struct Listing {
    child: Child,
    begin: Instant,
    what: &'static str,
}

impl Listing {
    fn start(what: &'static str) -> Result<Listing> {
        let mut multipath = Command::new("multipath");
        multipath
            .arg("-ll")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Listing {
            child: multipath.spawn()?,
            begin: Instant::now(),
            what,
        })
    }

    fn ended_within(&mut self, limit: Duration) -> bool {
        wait_until(limit, || !matches!(self.child.try_wait(), Ok(None)))
    }

    fn end(mut self, lab: &Lab) -> Result<()> {
        let ended = self.ended_within(COMMAND_LIMIT);
        lab.took(self.what, self.begin.elapsed(), ended);
        if !ended {
            self.child.kill()?;
        }
        Ok(())
    }
}

fn reconfigure(lab: &mut Lab) -> Result<()> {
    lab.fault("every command hangs", |disk| disk.reply(Reply::Never, 1))?;
    sleep(Duration::from_secs(2));
    let begin = Instant::now();
    let before = lab.configurations();
    // The reply does not wait for the work.
    lab.ask("reconfigure", COMMAND_LIMIT)?;
    if !wait_until(HANG, || lab.configurations() > before) {
        lab.note(format!(
            "reconfigure waits for the hung device for {} s",
            HANG.as_secs()
        ));
        lab.release("commands are answered again", |disk| disk.reply_well())?;
    }
    let ended = wait_until(COMMAND_LIMIT, || lab.configurations() > before);
    lab.took("reconfigure, hung", begin.elapsed(), ended);
    if begin.elapsed() < HANG {
        lab.expect_both(Want::Failed, 30);
        lab.release("commands are answered again", |disk| disk.reply_well())?;
    }
    lab.expect_both(Want::Active, 90);
    lab.io_flows(90);
    Ok(())
}

fn shutdown(lab: &mut Lab) -> Result<()> {
    lab.fault("every command hangs", |disk| disk.reply(Reply::Never, 1))?;
    sleep(Duration::from_secs(2));
    lab.stop_daemon("multipathd ends, hung")?;
    lab.release("commands are answered again", |disk| disk.reply_well())?;
    lab.start_daemon()?;
    lab.expect_both(Want::Active, 90);
    lab.io_flows(90);
    Ok(())
}
