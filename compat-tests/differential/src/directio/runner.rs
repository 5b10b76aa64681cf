//! Starts one host process per scenario and side, serves it devices and writes down what it says.

use crate::directio::host::Host;
use crate::directio::session::{NO_FURTHER, Side};
use crate::directio::wire::{Message, Step, receive, send};
use harness::devices::Lab;
use harness::process::Launch;
use harness::surroundings::Surroundings;
use harness::{Doing, Result, Trouble};
use std::io::{BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a host may be silent before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a side of a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was played to the end.
    Done,
    /// It cannot run here.
    NotHere(String),
    /// The harness failed.
    Broken(String),
    /// The process ended in the middle, or had to be ended.
    Died {
        /// The call it was in.
        during: String,
        /// What ended it.
        how: String,
    },
}

/// All that one side did.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// Its steps.
    pub steps: Vec<Step>,
    /// How it ended.
    pub end: End,
    /// What its process wrote to standard error.
    pub remarks: String,
}

/// What is played on one side.
#[derive(Clone, Debug)]
pub struct Play<'a> {
    /// The scenario's name.
    pub scenario: &'a str,
    /// In which host.
    pub host: Host,
    /// Whose plugin.
    pub side: Side,
    /// The plugin's file.
    pub plugin: &'a Path,
    /// What belongs to the C plugin.
    pub surroundings: &'a Surroundings,
    /// Where random scenarios begin.
    pub seed: u64,
}

/// How often a scenario is played that other programs disturb.
const ATTEMPTS: u32 = 5;

/// Plays one side of a scenario.
pub fn play(play: &Play<'_>) -> Transcript {
    for _ in 0..ATTEMPTS {
        let mut steps = Vec::new();
        let mut remarks = String::new();
        let end = match follow(play, &mut steps, &mut remarks) {
            Ok(end) => end,
            Err(Trouble::NotHere(why)) => End::NotHere(why),
            Err(Trouble::Broken(why)) => End::Broken(why),
            Err(Trouble::Disturbed) => continue,
        };
        return Transcript {
            steps,
            end,
            remarks,
        };
    }
    Transcript {
        steps: Vec::new(),
        end: End::NotHere(format!("{}, {ATTEMPTS} times in a row", Trouble::Disturbed)),
        remarks: String::new(),
    }
}

fn command(play: &Play<'_>) -> Result<Command> {
    let mut command = Launch::new(play.host.kind(), "directio")?
        .with(play.surroundings)
        .command()?;
    let side = match play.side {
        Side::C => "c",
        Side::Ours => "ours",
    };
    command
        .args(["--scenario", play.scenario, "--side", side])
        .args(["--seed", &play.seed.to_string()])
        .arg("--plugin")
        .arg(play.plugin);
    if let Host::Assuming(abi) = play.host {
        command.args(["--assume", abi.name()]);
    }
    if let Some(scope) = play.host.libmultipath() {
        let Some(library) = &play.surroundings.libmultipath else {
            return Err(Trouble::NotHere(
                "no libmultipath.so.0 next to the C plugin".to_owned(),
            ));
        };
        command.arg(format!("--libmultipath-{scope}")).arg(library);
    }
    Ok(command)
}

fn follow(play: &Play<'_>, steps: &mut Vec<Step>, remarks: &mut String) -> Result<End> {
    let (ours, theirs) = UnixStream::pair().doing("making a socket")?;
    ours.set_read_timeout(Some(PATIENCE))
        .doing("setting a time limit")?;
    let mut child = command(play)?
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .doing(&format!("starting {}", play.host.kind().executable()))?;
    let mut lab = Lab::default();
    let mut calling = "loading the plugin".to_owned();
    let spoken = converse(&ours, &mut lab, steps, &mut calling);
    // A process with reads in flight ends only when they are answered.
    lab.let_all_go();
    let died = |how: String| End::Died {
        during: calling.clone(),
        how,
    };
    if matches!(spoken, Ok(Heard::Silence) | Err(_)) {
        // It may have ended by itself meanwhile.
        let _ = child.kill();
    }
    if let Some(mut stderr) = child.stderr.take() {
        // Until the process has ended; what is not text is no remark.
        let _ = stderr.read_to_string(remarks);
    }
    let status = child.wait().doing("waiting for the host")?;
    match spoken {
        Ok(Heard::End(end)) => {
            let undefined = play.side == Side::C && steps.iter().any(|it| it.label == NO_FURTHER);
            if status.success() || undefined || !matches!(end, End::Done) {
                Ok(end)
            } else {
                Ok(End::Died {
                    during: "the end of the process".to_owned(),
                    how: status.to_string(),
                })
            }
        }
        Ok(Heard::Disturbance) => Err(Trouble::Disturbed),
        Ok(Heard::Gone) => Ok(died(status.to_string())),
        Ok(Heard::Silence) => Ok(died(format!(
            "said nothing for {} s and was killed",
            PATIENCE.as_secs()
        ))),
        Err(trouble) => Err(trouble),
    }
}

/// How a conversation with a host ended.
enum Heard {
    /// The host said how the scenario came out.
    End(End),
    /// Another program has spoilt the scenario.
    Disturbance,
    /// It is gone without a word.
    Gone,
    /// It says nothing any more.
    Silence,
}

/// Listens until the host has no more to say.
fn converse(
    socket: &UnixStream,
    lab: &mut Lab,
    steps: &mut Vec<Step>,
    calling: &mut String,
) -> Result<Heard> {
    use std::io::ErrorKind;
    let mut reader = BufReader::new(socket.try_clone().doing("copying the socket")?);
    let mut writer = socket;
    loop {
        let fields = match receive(&mut reader) {
            Ok(Some(fields)) => fields,
            Ok(None) => return Ok(Heard::Gone),
            Err(error) => {
                return match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(Heard::Silence),
                    ErrorKind::ConnectionReset => Ok(Heard::Gone),
                    _ => Err(error.into()),
                };
            }
        };
        match Message::parse(fields)? {
            Message::Calling(label) => *calling = label,
            Message::Step(step) => steps.push(*step),
            Message::Done => return Ok(Heard::End(End::Done)),
            Message::Disturbed => return Ok(Heard::Disturbance),
            Message::NotHere(why) => return Ok(Heard::End(End::NotHere(why))),
            Message::Broken(why) => return Ok(Heard::End(End::Broken(why))),
            Message::Ask(words) => {
                let answer = match lab.serve(&words) {
                    Ok(mut words) => {
                        words.insert(0, "ok".to_owned());
                        words
                    }
                    Err(Trouble::NotHere(why)) => vec!["not-here".to_owned(), why],
                    Err(trouble) => vec!["broken".to_owned(), trouble.to_string()],
                };
                match send(&mut writer, &answer) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Heard::Gone),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}
