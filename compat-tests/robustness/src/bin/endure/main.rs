//! Lets devices hang, come back, break and vanish, and looks at what that does to a host: how long a
//! call takes at most, and what is used up in the long run.
//!
//! | module | subject |
//! |---|---|
//! | `options` | the command line |
//! | `rig` | one host with its devices |
//! | `judge` | what counts as waiting |
//! | `model` | what a path may say |
//! | `sequence` | calls and events in random order |
//! | `never_wait` | thousands of sequences |
//! | `scenes` | crowds of paths on one hung device, unloading, the end of a process |
//! | `soak` | many hosts at a time, for long |
//! | `races` | many threads at a time in one plugin |
//! | `shortage` | refusals at every place, and what else befalls a host |
//! | `tally` | what passed, and the longest calls |

mod judge;
mod model;
mod never_wait;
mod options;
mod races;
mod rig;
mod scenes;
mod sequence;
mod shortage;
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
    // The devices are in this process: who waits for them must not wait for its turn.
    bench::usage::become_urgent();
    let mut tally = Tally::new();
    if options.never_wait {
        never_wait::run(&options, &mut tally);
    }
    if options.soak {
        soak::run(&options, &mut tally);
    }
    if options.races {
        races::run(&options, &mut tally);
    }
    if options.shortage {
        shortage::run(&options, &mut tally);
    }
    if options.scenes {
        shortage::scenes(&options, &mut tally);
    }
    tally.print()
}
