//! The command line.

use harness::abi::Abi;
use std::path::{Path, PathBuf};
use std::time::Duration;

const USAGE: &str = "\
usage: endure [never-wait] [soak] [races] [shortage] [scenes] [option …]
  never-wait       any call that is held up for more than 5 ms fails
  soak             memory, threads, descriptors and AIO contexts must not grow
  races            many threads at a time in one plugin; for runs under a tool that looks for races
                   or bad accesses, see --under
  shortage         memory, threads, descriptors and AIO quota are refused, at every place in turn
  scenes           fork, signals, stops, cancelled threads, large static TLS
                   without any of these, the first two
  --ours DIR       our plugins (default: target/plugins)
  --c DIR,DIR…     C's plugins, for comparison: they play a few sequences, and have to be noticed
                   where they are known to wait; in the soak, their figures are printed
  --only A,B…      these checkers only
  --sequences N    random sequences per checker and abi (default: 100)
  --seed N         where they begin (default: 1)
  --seconds N      how long the soak lasts, and each checker's part of the races (default: 20)
  --under PROGRAM  the races run under this: a command line whose exit code says whether it found
                   anything
  --serial         the tool lets no thread run while another is in io_submit: no device may hang that
                   only the process itself could let go
  --host FILE      the race-host that it runs (default: the one beside this program)
  --faulty FILE    a plugin with faults, which the tool has to find
  --long           more refusals, and every scene with every plugin, 20 times as often
Must be root, for loop devices and FUSE. The exit code is 1 when something failed, 2 when the command
line is wrong.";

/// What the user asked for.
pub(crate) struct Options {
    pub(crate) never_wait: bool,
    pub(crate) soak: bool,
    pub(crate) races: bool,
    pub(crate) shortage: bool,
    pub(crate) scenes: bool,
    pub(crate) long: bool,
    pub(crate) ours: PathBuf,
    pub(crate) c: Vec<PathBuf>,
    pub(crate) only: Vec<String>,
    pub(crate) sequences: u32,
    pub(crate) seed: u64,
    pub(crate) seconds: Duration,
    pub(crate) under: Vec<String>,
    pub(crate) serial: bool,
    pub(crate) host: Option<PathBuf>,
    pub(crate) faulty: Option<PathBuf>,
}

/// A plugin to be tested.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) checker: String,
    pub(crate) plugin: PathBuf,
    pub(crate) abi: Abi,
    /// `None` for ours; else what C's of that ABI are called in the tables.
    pub(crate) c: Option<&'static str>,
}

impl Subject {
    /// As it is printed.
    pub(crate) fn name(&self) -> String {
        match self.c {
            None => format!("{} ({})", self.checker, self.abi),
            Some(c) => format!("{} of {c}", self.checker),
        }
    }
}

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            never_wait: false,
            soak: false,
            races: false,
            shortage: false,
            scenes: false,
            long: false,
            ours: PathBuf::from("target/plugins"),
            c: Vec::new(),
            only: Vec::new(),
            sequences: 100,
            seed: 1,
            seconds: Duration::from_secs(20),
            under: Vec::new(),
            serial: false,
            host: None,
            faulty: None,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value\n{USAGE}"));
            fn number<T: std::str::FromStr>(name: &str, word: &str) -> Result<T, String> {
                word.parse()
                    .map_err(|_| format!("{name}: {word:?} is no number"))
            }
            match word.as_str() {
                "never-wait" => options.never_wait = true,
                "soak" => options.soak = true,
                "races" => options.races = true,
                "shortage" => options.shortage = true,
                "scenes" => options.scenes = true,
                "--long" => options.long = true,
                "--ours" => options.ours = value()?.into(),
                "--c" => options.c = value()?.split(',').map(PathBuf::from).collect(),
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--sequences" => options.sequences = number(&word, &value()?)?,
                "--seed" => options.seed = number(&word, &value()?)?,
                "--seconds" => {
                    options.seconds = Duration::from_secs(number(&word, &value()?)?);
                }
                "--under" => {
                    options.under = value()?.split_whitespace().map(str::to_owned).collect();
                }
                "--serial" => options.serial = true,
                "--host" => options.host = Some(value()?.into()),
                "--faulty" => options.faulty = Some(value()?.into()),
                _ => return Err(USAGE.to_owned()),
            }
        }
        let parts = [
            options.never_wait,
            options.soak,
            options.races,
            options.shortage,
            options.scenes,
        ];
        if !parts.contains(&true) {
            (options.never_wait, options.soak) = (true, true);
        }
        Ok(options)
    }

    /// Our plugins, each in every ABI.
    pub(crate) fn ours(&self) -> Vec<Subject> {
        let abis = [Abi::V0_7_9, Abi::V0_11, Abi::V0_15];
        let plugins = self.plugins(&self.ours).into_iter();
        let subjects = plugins.flat_map(|(checker, plugin)| {
            abis.map(|abi| Subject {
                checker: checker.clone(),
                plugin: plugin.clone(),
                abi,
                c: None,
            })
        });
        subjects.collect()
    }

    /// C's plugins, each in its own ABI.
    pub(crate) fn c(&self) -> Vec<Subject> {
        let directories = self.c.iter().flat_map(|directory| self.plugins(directory));
        let subjects = directories.filter_map(|(checker, plugin)| {
            let (abi, c) = era_of(&plugin)?;
            Some(Subject {
                checker,
                plugin,
                abi,
                c: Some(c),
            })
        });
        subjects.collect()
    }

    fn plugins(&self, directory: &Path) -> Vec<(String, PathBuf)> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let mut plugins: Vec<_> = entries
            .filter_map(|entry| {
                let path = entry.path();
                Some((checker_of(&path)?, path))
            })
            .filter(|(name, _)| self.only.is_empty() || self.only.contains(name))
            .collect();
        plugins.sort();
        plugins
    }
}

/// The checker that a plugin file is of.
fn checker_of(plugin: &Path) -> Option<String> {
    let name = plugin.file_name()?.to_str()?;
    let name = name.strip_prefix("libcheck")?.strip_suffix(".so")?;
    Some(name.to_owned())
}

/// Which ABI a C plugin was made for, as directio tells that lies beside it: of all seven it alone
/// has been of the same form in every release. `None` for plugins that a host of 0.15 runs on a
/// thread of its own: they cannot hold up its caller.
fn era_of(plugin: &Path) -> Option<(Abi, &'static str)> {
    let mentions = |plugin: &Path, name: &[u8]| {
        let bytes = std::fs::read(plugin).unwrap_or_default();
        bytes.windows(name.len()).any(|at| at == name)
    };
    if mentions(plugin, b"libcheck_async_func") {
        return None;
    }
    let directio = plugin.with_file_name("libcheckdirectio.so");
    if mentions(&directio, b"LIBMPATHUTIL_6") {
        Some((Abi::V0_15, "C 0.15"))
    } else if mentions(&directio, b"libcheck_need_wait") {
        Some((Abi::V0_11, "C 0.11"))
    } else {
        Some((Abi::V0_7_9, "C 0.9"))
    }
}
