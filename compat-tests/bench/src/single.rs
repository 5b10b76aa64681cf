//! Commands about one path, or one call, each with the time that it took.
//!
//! | command | does | answers |
//! |---|---|---|
//! | `paths` | makes paths of the open files, without checkers | |
//! | `call init PATH TIMEOUT` | `libcheck_init` with so many seconds; once more only after `free` | `answer` and the lap |
//! | `call check PATH`, `call pending PATH`, `call need-wait PATH`, `call free PATH` | the function of that name | likewise |
//! | `call reset` | `libcheck_reset` | the lap |
//! | `call message PATH` | what a host does with the message id of the last check: a look into `libcheck_msgtable` | `answer`, 1 when the id has a text |
//! | `device PATH answers`, `… hangs`, `… gone` | changes a SCSI device | |
//!
//! A lap is `wall` and `held`, in nanoseconds ([`Lap`]).

use crate::paths::Paths;
use crate::stopwatch::{Lap, Stopwatch};
use crate::stub::{self, Device};
use harness::{Result, Trouble};

/// Does one of these commands.
///
/// # Errors
/// When there is no such command, path or device.
pub fn obey(paths: &mut Paths, watch: &Stopwatch, words: &[&str]) -> Result<String> {
    match *words {
        ["call", "reset"] => {
            let ((), lap) = watch.time(|| paths.plugin().reset());
            Ok(show(0, lap))
        }
        ["call", "init", path, timeout] => {
            let (path, timeout) = (index(paths, path)?, number(timeout)?);
            let (done, lap) = watch.time(|| paths.init(path, timeout));
            Ok(show(i32::from(!done), lap))
        }
        ["call", function, path] => {
            let path = index(paths, path)?;
            let (answer, lap) = match function {
                "check" => watch.time(|| paths.check(path).0),
                "pending" => watch.time(|| paths.collect(path).0),
                "need-wait" => watch.time(|| i32::from(paths.need_wait(path))),
                "free" => {
                    let ((), lap) = watch.time(|| paths.free(path));
                    (0, lap)
                }
                "message" => watch.time(|| i32::from(paths.has_message(path))),
                _ => return Err(Trouble::Broken(format!("no function {function}"))),
            };
            Ok(show(answer, lap))
        }
        ["device", path, behaviour] => {
            let fd = paths.fd(index(paths, path)?);
            let device = match behaviour {
                "answers" => Device::Answers,
                "hangs" => Device::Hangs,
                "gone" => Device::Gone,
                _ => return Err(Trouble::Broken(format!("no behaviour {behaviour}"))),
            };
            stub::set(fd, device);
            Ok(String::new())
        }
        _ => Err(Trouble::Broken(format!("unknown command {words:?}"))),
    }
}

/// A lap, as a host answers it.
pub(crate) fn show(answer: i32, lap: Lap) -> String {
    format!(
        "answer={answer} wall={} held={}",
        lap.wall.as_nanos(),
        lap.held.as_nanos()
    )
}

fn index(paths: &Paths, word: &str) -> Result<usize> {
    let path: usize = number(word)?;
    if path < paths.count() {
        Ok(path)
    } else {
        Err(Trouble::Broken(format!("there is no path {path}")))
    }
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T> {
    word.parse()
        .map_err(|_| Trouble::Broken(format!("{word:?} is no number")))
}
