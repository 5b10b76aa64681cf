//! The scenarios: what breaks, in which order, and what the daemon has to say about it.
//!
//! The limits are generous: they tell a path that moves from one that is stuck. How fast it moves
//! is compared with the C checkers' times, not with a constant.

use anyhow::{Context, Result};

use super::disk::Reply;
use super::lab::{Lab, Want};
use crate::event::Path::{A, B};

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
