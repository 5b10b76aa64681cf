//! The command line.

use crate::release::Release;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: bench [--c DIR,DIR…] [--ours DIR] [--checkers A,B…] [--paths N,N…] [--repeats N] [--markdown]
  --c DIR,DIR…      C's plugins, a directory for each release (not run without it)
  --ours DIR        our plugins (default: target/plugins)
  --checkers A,B…   default: directio and every other that both directories have
  --paths N,N…      default: 1,64,1024,4096
  --repeats N       how often each side takes its turn at least (default: 7); more where turns are quick
  --markdown        print the tables in Markdown";

/// What the user asked for.
pub(crate) struct Options {
    pub(crate) c: Vec<Release>,
    pub(crate) ours: PathBuf,
    pub(crate) checkers: Vec<String>,
    pub(crate) paths: Vec<usize>,
    pub(crate) repeats: usize,
    pub(crate) markdown: bool,
}

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            c: Vec::new(),
            ours: PathBuf::from("target/plugins"),
            checkers: Vec::new(),
            paths: vec![1, 64, 1024, 4096],
            repeats: 7,
            markdown: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--c" => options.c = value()?.split(',').map(Release::new).collect(),
                "--ours" => options.ours = value()?.into(),
                "--checkers" => {
                    options.checkers = value()?.split(',').map(str::to_owned).collect();
                }
                "--paths" => {
                    let numbers: Result<_, _> = value()?.split(',').map(str::parse).collect();
                    options.paths = numbers.map_err(|error| format!("--paths: {error}"))?;
                }
                "--repeats" => {
                    let number = value()?.parse();
                    options.repeats = number.map_err(|error| format!("--repeats: {error}"))?;
                }
                "--markdown" => options.markdown = true,
                _ => return Err(USAGE.to_owned()),
            }
        }
        options.repeats = options.repeats.max(1);
        if options.checkers.is_empty() {
            options.checkers = options.find_checkers();
        }
        Ok(options)
    }

    /// What is in our directory, directio first.
    fn find_checkers(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.ours)
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let name = name.strip_prefix("libcheck")?.strip_suffix(".so")?;
                Some(name.to_owned())
            })
            .collect();
        names.sort_by_key(|name| (name != "directio", name != "tur", name.clone()));
        names
    }
}
