//! Lets devices hang, come back, break and vanish, and looks at what that does to a host: how long a
//! call takes at most, and what is used up in the long run.
//!
//! | module | subject |
//! |---|---|
//! | `options` | the command line |
//! | `rig` | one host with its devices |
//! | `model` | what a path may say |
//! | `sequence` | calls and events in random order |
//! | `never_wait` | thousands of sequences, and crowds of paths on one hung device |
//! | `soak` | many hosts at a time, for long |
//! | `tally` | what passed, and the longest calls |

mod model;
mod never_wait;
mod options;
mod rig;
mod sequence;
mod soak;
mod tally;

use options::Options;
use std::process::ExitCode;
use tally::Tally;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    let mut tally = Tally::default();
    if options.never_wait {
        never_wait::run(&options, &mut tally);
    }
    if options.soak {
        soak::run(&options, &mut tally);
    }
    tally.print()
}
