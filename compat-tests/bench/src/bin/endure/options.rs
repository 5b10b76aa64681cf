//! The command line.

use std::path::PathBuf;
use std::time::Duration;

const USAGE: &str = "\
usage: endure [never-wait] [soak] [option …]
  never-wait       any call that waits for more than 5 ms fails
  soak             memory, threads, descriptors and AIO contexts must not grow
                   without either, both
  --ours DIR       our plugins (default: target/plugins)
  --c FILE,FILE…   C plugins to play the same sequences, for comparison: they cannot fail
  --only A,B…      these checkers only
  --sequences N    random sequences per checker and era (default: 200)
  --seed N         where they begin (default: 1)
  --seconds N      how long the soak lasts (default: 20)";

/// What the user asked for.
pub(crate) struct Options {
    pub(crate) never_wait: bool,
    pub(crate) soak: bool,
    pub(crate) ours: PathBuf,
    pub(crate) c: Vec<PathBuf>,
    pub(crate) only: Vec<String>,
    pub(crate) sequences: u32,
    pub(crate) seed: u64,
    pub(crate) soak_for: Duration,
}

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            never_wait: false,
            soak: false,
            ours: PathBuf::from("target/plugins"),
            c: Vec::new(),
            only: Vec::new(),
            sequences: 200,
            seed: 1,
            soak_for: Duration::from_secs(20),
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
                "--ours" => options.ours = value()?.into(),
                "--c" => options.c = value()?.split(',').map(PathBuf::from).collect(),
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--sequences" => options.sequences = number(&word, &value()?)?,
                "--seed" => options.seed = number(&word, &value()?)?,
                "--seconds" => {
                    options.soak_for = Duration::from_secs(number(&word, &value()?)?);
                }
                _ => return Err(USAGE.to_owned()),
            }
        }
        if !options.never_wait && !options.soak {
            (options.never_wait, options.soak) = (true, true);
        }
        Ok(options)
    }

    /// Our plugins, by the checkers' names.
    pub(crate) fn plugins(&self) -> Vec<(String, PathBuf)> {
        let entries = std::fs::read_dir(&self.ours)
            .into_iter()
            .flatten()
            .flatten();
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
pub(crate) fn checker_of(plugin: &std::path::Path) -> Option<String> {
    let name = plugin.file_name()?.to_str()?;
    let name = name.strip_prefix("libcheck")?.strip_suffix(".so")?;
    Some(name.to_owned())
}
