//! Memory, threads, descriptors, AIO contexts and requests are refused to a plugin, at every place in
//! turn; and scenes of what else befalls a host. See `robustness::shortage`, which is what plays them.

use crate::options::{Options, Subject};
use crate::tally::Tally;
use bench::driver;
use harness::abi::Abi;
use harness::devices::Lab;
use harness::{Doing, Result, Trouble};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// So many failed cases of a plugin are shown.
const SHOWN: usize = 12;

/// The numbers of one row of the table.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    no_init: u32,
    unchecked: u32,
    unharmed: u32,
    failed: u32,
}

/// What a campaign against one plugin came to.
#[derive(Default)]
struct Campaign {
    /// By what was refused.
    rows: BTreeMap<String, Row>,
    failures: Vec<String>,
}

/// Refuses things to every plugin.
pub(crate) fn run(options: &Options, tally: &mut Tally) {
    let subjects = options.ours();
    if subjects.is_empty() {
        tally.skip(format!(
            "shortage: no plugins in {}",
            options.ours.display()
        ));
    }
    let file = match File::new() {
        Ok(file) => file,
        Err(trouble) => return tally.end("shortage", Err(trouble.to_string())),
    };
    let ends = all(&subjects, |subject| campaign(options, subject, &file.0));
    let mut table = BTreeMap::<String, Row>::new();
    for (subject, end) in subjects.iter().zip(ends) {
        let name = format!("refusals: {}", subject.name());
        match end {
            Err(Trouble::NotHere(why)) => tally.skip(format!("{name}: {why}")),
            Err(trouble) => tally.end(&name, Err(trouble.to_string())),
            Ok(campaign) => {
                let mut whole = Row::default();
                for (kind, row) in &campaign.rows {
                    whole.add(*row);
                    let key = format!("{:<12} {kind}", subject.checker);
                    table.entry(key).or_default().add(*row);
                }
                let cases = whole.cases();
                if campaign.failures.is_empty() {
                    tally.end(&name, Ok(format!("{cases} cases")));
                } else {
                    let shown = campaign.failures.iter().take(SHOWN);
                    let shown: Vec<&str> = shown.map(String::as_str).collect();
                    let why = format!("{} of {cases} cases:\n    ", whole.failed);
                    tally.end(&name, Err(why + &shown.join("\n    ")));
                }
            }
        }
    }
    print(&table);
}

/// Plays the scenes.
pub(crate) fn scenes(options: &Options, tally: &mut Tally) {
    let many = if options.long { 20 } else { 1 };
    // The scene, how often, and the static TLS of the process in bytes.
    let scenes = [
        ("fork", 100 * many, 0),
        ("signals", 120 * many, 0),
        ("stop", 2 * many, 0),
        ("stop-late", 1 + many / 4, 0),
        ("cancel", 40 * many, 0),
        ("no-thread", 2000 * many, 0),
        ("crowd", 20 * many, 0),
        ("crowd", 20, 22_000),
        ("crowd", 20, 40_000),
        ("crowd", 20, 1_000_000),
    ];
    let file = match File::new() {
        Ok(file) => file,
        Err(trouble) => return tally.end("scenes", Err(trouble.to_string())),
    };
    let subjects: Vec<Subject> = options
        .ours()
        .into_iter()
        .filter(|subject| options.long || is_worth_it(subject))
        .collect();
    for (scene, count, tls) in scenes {
        let ends = all(&subjects, |subject| {
            play(subject, scene, count, tls, &file.0)
        });
        for (subject, end) in subjects.iter().zip(ends) {
            let surroundings = match tls {
                0 => String::new(),
                bytes => format!(" with {bytes} bytes of static TLS"),
            };
            let name = format!("{scene}{surroundings}: {}", subject.name());
            tally.end(&name, end.map_err(|trouble| trouble.to_string()));
        }
    }
}

/// The asynchrony of all but directio is one and the same; rdac's has a setup besides.
fn is_worth_it(subject: &Subject) -> bool {
    match (subject.checker.as_str(), subject.abi) {
        ("tur" | "directio", abi) => abi != Abi::V0_15,
        ("rdac", abi) => abi == Abi::V0_11,
        _ => false,
    }
}

/// Plugins that are under test at a time: their hosts wait more than they work.
const LANES: usize = 4;

/// Does something for every plugin, [some](LANES) at a time. The results are in the order of the plugins.
fn all<T: Send>(
    subjects: &[Subject],
    each: impl Fn(&Subject) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    let next = AtomicUsize::new(0);
    let ends = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let Some(subject) = subjects.get(number) else {
                        return;
                    };
                    let end = each(subject);
                    let mut ends = ends.lock().unwrap_or_else(|broken| broken.into_inner());
                    ends.push((number, end));
                }
            });
        }
    });
    let mut ends = ends
        .into_inner()
        .unwrap_or_else(|broken| broken.into_inner());
    ends.sort_by_key(|(number, _)| *number);
    ends.into_iter().map(|(_, end)| end).collect()
}

fn host(subject: &Subject) -> Result<Command> {
    let executable = driver::sibling(match subject.abi {
        Abi::V0_7_9 => "shortage-host-b",
        Abi::V0_11 | Abi::V0_14 => "shortage-host-c",
        Abi::V0_15 => "shortage-host-d",
    })?;
    let plugin = std::path::absolute(&subject.plugin).doing("finding a plugin")?;
    let mut command = Command::new(executable);
    command.arg(plugin).stderr(Stdio::null());
    Ok(command)
}

fn campaign(options: &Options, subject: &Subject, file: &Path) -> Result<Campaign> {
    let mut lab = Lab::default();
    let mut stalled = "-".to_owned();
    if subject.checker == "directio" {
        stalled = ask(&mut lab, "stall-file 0")?;
    }
    let mut child = host(subject)?
        .arg(if options.long { "long" } else { "short" })
        .arg(file)
        .arg(&stalled)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .doing("starting a host")?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Trouble::Broken("a host without pipes".to_owned()));
    };
    let mut campaign = Campaign::default();
    let mut said = String::new();
    for line in BufReader::new(output).lines() {
        let line = line.doing("listening to a host")?;
        match line.as_str() {
            "hold" | "let-go" => {
                ask(
                    &mut lab,
                    if line == "hold" {
                        "hold 0"
                    } else {
                        "let-go 0 data"
                    },
                )?;
                writeln!(input, "done").doing("talking to a host")?;
            }
            _ if line.starts_with("case\t") => campaign.case(&line),
            _ => said = line,
        }
    }
    lab.let_all_go();
    let status = child.wait().doing("waiting for a host")?;
    if status.success() {
        Ok(campaign)
    } else {
        Err(Trouble::Broken(format!("the host: {status}; {said}")))
    }
}

impl Campaign {
    /// `case kind setting times span number end text`, separated by tabs.
    fn case(&mut self, line: &str) {
        let words: Vec<&str> = line.split('\t').collect();
        let [_, kind, rest @ .., end, text] = words.as_slice() else {
            self.failures.push(format!("not understood: {line}"));
            return;
        };
        let row = self.rows.entry((*kind).to_owned()).or_default();
        match (*end, *text) {
            ("ok", "NoInit") => row.no_init += 1,
            ("ok", "Unchecked") => row.unchecked += 1,
            ("ok", _) => row.unharmed += 1,
            _ => {
                row.failed += 1;
                let what = rest.join(" ");
                self.failures.push(format!("{kind} {what}: {end} {text}"));
            }
        }
    }
}

impl Row {
    fn add(&mut self, other: Row) {
        self.no_init += other.no_init;
        self.unchecked += other.unchecked;
        self.unharmed += other.unharmed;
        self.failed += other.failed;
    }

    fn cases(&self) -> u32 {
        self.no_init + self.unchecked + self.unharmed + self.failed
    }
}

fn print(table: &BTreeMap<String, Row>) {
    println!();
    println!(
        "What the path of a case came to; afterwards each was up, and nothing was left behind"
    );
    println!(
        "{:<12} {:<14} {:>7} {:>12} {:>10} {:>9} {:>7}",
        "", "refused", "cases", "failed init", "UNCHECKED", "unharmed", "FAILED"
    );
    let mut whole = Row::default();
    let line = |name: &str, row: Row| {
        println!(
            "{name:<27} {:>7} {:>12} {:>10} {:>9} {:>7}",
            row.cases(),
            row.no_init,
            row.unchecked,
            row.unharmed,
            row.failed
        );
    };
    for (name, row) in table {
        whole.add(*row);
        line(name, *row);
    }
    line("all", whole);
}

/// How long a scene may take: far more than any does that does not hang, in the long form too.
const PATIENCE: Duration = Duration::from_secs(900);

fn play(subject: &Subject, scene: &str, count: u32, tls: u32, file: &Path) -> Result<String> {
    let mut command = host(subject)?;
    if tls > 0 {
        command.env(
            "GLIBC_TUNABLES",
            format!("glibc.rtld.optional_static_tls={tls}"),
        );
    }
    let mut child = command
        .args(["scene", scene, &count.to_string()])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .doing("starting a host")?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().doing("waiting for a host")? {
            break status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().doing("ending a host")?;
            child.wait().doing("waiting for a host")?;
            return Err(Trouble::Broken(format!("hung for {PATIENCE:?}")));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let mut said = String::new();
    if let Some(mut output) = child.stdout.take() {
        std::io::Read::read_to_string(&mut output, &mut said).doing("listening to a host")?;
    }
    let said = said.trim().replace('\n', "; ");
    if status.success() {
        Ok(said)
    } else {
        Err(Trouble::Broken(format!("{status}; {said}")))
    }
}

fn ask(lab: &mut Lab, request: &str) -> Result<String> {
    let words: Vec<String> = request.split(' ').map(str::to_owned).collect();
    let answer = lab.serve(&words)?;
    Ok(answer.into_iter().next().unwrap_or_default())
}

/// A file on a disk, which goes away with this.
struct File(PathBuf);

impl File {
    fn new() -> Result<File> {
        let here = std::env::current_exe().doing("finding this executable")?;
        let file = here.with_file_name(format!("endure-shortage-{}", std::process::id()));
        std::fs::write(&file, [0; 65536]).doing("making a file")?;
        Ok(File(file))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
