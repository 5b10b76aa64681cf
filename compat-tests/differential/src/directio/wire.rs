//! What a host process and the runner say to each other: lines of tab-separated fields.

use harness::{Result, Trouble};
use std::io::{BufRead, Write};

/// What can be known after one step of a scenario: a name and a value, compared as texts.
pub type Fact = (String, String);

/// A difference that the ledger allows: the fact that differs, and what it is on either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The row of the ledger.
    pub row: String,
    /// The name of the fact.
    pub fact: String,
    /// Its value with the C plugin.
    pub c: String,
    /// Its value with ours.
    pub ours: String,
}

/// Which entry point a step called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Call {
    /// `libcheck_free`
    Free,
    /// `libcheck_reset`
    Reset,
    /// Any other, or none.
    #[default]
    Other,
}

/// One step of a scenario, as one side lived it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub label: String,
    /// What it called.
    pub call: Call,
    /// How long that took, in milliseconds.
    pub millis: u64,
    /// Whether the kernel held reads of the process when the call began.
    pub hanging: bool,
    /// Whether only our side goes this far: what the C plugin would do is undefined.
    pub alone: bool,
    /// What was seen afterwards.
    pub facts: Vec<Fact>,
    /// Where the sides may, and then must, differ.
    pub differences: Vec<Difference>,
    /// Where this side contradicts what the scenario says of both.
    pub wrong: Vec<String>,
}

impl Step {
    /// The value of a fact, if it was recorded.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What a host says to the runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The call with this label begins: whatever ends the process now, ended it there.
    Calling(String),
    /// A step is over.
    Step(Box<Step>),
    /// A request to the lab, which answers with a line of its own.
    Ask(Vec<String>),
    /// The scenario cannot run here.
    NotHere(String),
    /// The scenario failed in the harness.
    Broken(String),
    /// Another program has read the scenario's block device.
    Disturbed,
    /// The scenario is over.
    Done,
}

const CALLS: [(Call, &str); 3] = [
    (Call::Free, "free"),
    (Call::Reset, "reset"),
    (Call::Other, "other"),
];

/// One line from fields; what would break the line is escaped.
fn join<S: AsRef<str>>(fields: &[S]) -> String {
    let mut line = String::new();
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            line.push('\t');
        }
        for c in field.as_ref().chars() {
            match c {
                '\\' => line.push_str("\\\\"),
                '\t' => line.push_str("\\t"),
                '\n' => line.push_str("\\n"),
                c => line.push(c),
            }
        }
    }
    line
}

/// The fields of one line.
fn split(line: &str) -> Vec<String> {
    line.split('\t')
        .map(|field| {
            let mut text = String::new();
            let mut chars = field.chars();
            while let Some(c) = chars.next() {
                match c {
                    '\\' => match chars.next() {
                        Some('t') => text.push('\t'),
                        Some('n') => text.push('\n'),
                        Some(other) => text.push(other),
                        None => {}
                    },
                    c => text.push(c),
                }
            }
            text
        })
        .collect()
}

/// Sends one line.
///
/// # Errors
/// When the other side is gone.
pub fn send<S: AsRef<str>>(to: &mut impl Write, fields: &[S]) -> std::io::Result<()> {
    let mut line = join(fields);
    line.push('\n');
    to.write_all(line.as_bytes())
}

/// The next line, or `None` when the other side is gone.
///
/// # Errors
/// What reading the socket gave, a passed time limit included.
pub fn receive(from: &mut impl BufRead) -> std::io::Result<Option<Vec<String>>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(split(line.trim_end_matches('\n'))))
}

impl Message {
    /// The fields of the message's line.
    pub fn fields(&self) -> Vec<String> {
        let two = |name: &str, text: &str| vec![name.to_owned(), text.to_owned()];
        match self {
            Message::Calling(label) => two("calling", label),
            Message::NotHere(why) => two("not-here", why),
            Message::Broken(why) => two("broken", why),
            Message::Done => vec!["done".to_owned()],
            Message::Disturbed => vec!["disturbed".to_owned()],
            Message::Ask(words) => {
                let mut fields = vec!["ask".to_owned()];
                fields.extend(words.iter().cloned());
                fields
            }
            Message::Step(step) => {
                let call = CALLS.iter().find(|(call, _)| *call == step.call);
                let mut fields = vec![
                    "step".to_owned(),
                    step.label.clone(),
                    call.map_or("other", |(_, name)| name).to_owned(),
                    step.millis.to_string(),
                    step.hanging.to_string(),
                    step.alone.to_string(),
                ];
                for (name, value) in &step.facts {
                    fields.extend(["fact".to_owned(), name.clone(), value.clone()]);
                }
                for d in &step.differences {
                    let [row, fact, c, ours] = [&d.row, &d.fact, &d.c, &d.ours].map(String::clone);
                    fields.extend(["differs".to_owned(), row, fact, c, ours]);
                }
                for why in &step.wrong {
                    fields.extend(["wrong".to_owned(), why.clone()]);
                }
                fields
            }
        }
    }

    /// The message that a line's fields hold.
    ///
    /// # Errors
    /// When they hold none.
    pub fn parse(fields: Vec<String>) -> Result<Message> {
        let garbled = || Trouble::Broken("a garbled message from the host process".to_owned());
        let mut fields = fields.into_iter();
        let mut next = || fields.next().ok_or_else(garbled);
        Ok(match next()?.as_str() {
            "calling" => Message::Calling(next()?),
            "not-here" => Message::NotHere(next()?),
            "broken" => Message::Broken(next()?),
            "done" => Message::Done,
            "disturbed" => Message::Disturbed,
            "ask" => Message::Ask(fields.collect()),
            "step" => {
                let label = next()?;
                let call = next()?;
                let mut step = Step {
                    label,
                    call: CALLS
                        .iter()
                        .find(|(_, name)| *name == call)
                        .map(|(call, _)| *call)
                        .ok_or_else(garbled)?,
                    millis: next()?.parse().map_err(|_| garbled())?,
                    hanging: next()?.parse().map_err(|_| garbled())?,
                    alone: next()?.parse().map_err(|_| garbled())?,
                    ..Step::default()
                };
                while let Ok(kind) = next() {
                    match kind.as_str() {
                        "fact" => step.facts.push((next()?, next()?)),
                        "differs" => step.differences.push(Difference {
                            row: next()?,
                            fact: next()?,
                            c: next()?,
                            ours: next()?,
                        }),
                        "wrong" => step.wrong.push(next()?),
                        _ => return Err(garbled()),
                    }
                }
                Message::Step(Box::new(step))
            }
            _ => return Err(garbled()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_wire() {
        let step = Step {
            label: "check\tone\\two\nthree".to_owned(),
            call: Call::Reset,
            millis: 12,
            hanging: true,
            alone: false,
            facts: vec![("log".to_owned(), "3 a\n4 b".to_owned())],
            differences: vec![Difference {
                row: "I4".to_owned(),
                fact: "returned".to_owned(),
                c: "down".to_owned(),
                ours: String::new(),
            }],
            wrong: vec!["x".to_owned()],
        };
        for message in [
            Message::Step(Box::new(step)),
            Message::Ask(vec!["loop".to_owned(), "512".to_owned()]),
            Message::Done,
        ] {
            let mut line = Vec::new();
            send(&mut line, &message.fields()).unwrap();
            let fields = receive(&mut line.as_slice()).unwrap().unwrap();
            assert_eq!(Message::parse(fields).unwrap(), message);
        }
    }

    #[test]
    fn garbage_is_refused() {
        for line in [
            "",
            "step\tx\tother\tnot a number\ttrue\tfalse",
            "step\tx\tother\t1\ttrue\tfalse\tfact\ta",
        ] {
            assert!(Message::parse(split(line)).is_err(), "{line:?}");
        }
    }
}
