// SPDX-License-Identifier: LGPL-2.0-or-later

//! Whole checks of devices with scripted replies.

use super::*;
use checkers_core::{Asynchronous, Messages, NoLogRecord, Probe, Task, check_over};
use sg_io::LastReply;
use sg_io::script::{Script, Step as Answer, fixed_sense};

/// A probe that is tur over a device of its own.
macro_rules! tur_over {
    ($name:ident, $answer:expr) => {
        enum $name {}

        impl Probe for $name {
            const NAME: &'static str = "tur";
            const MESSAGES: Messages = <checkers::checker_tur::Tur as Probe>::MESSAGES;
            type Memory = ();
            type LogRecord = NoLogRecord;
            type LastReply = LastReply;

            fn probe(task: &mut Task<'_, ()>) -> checkers_core::Outcome<$name> {
                let outcome =
                    check_over::<checkers::checker_tur::Tur>(&Script::new([$answer; 5]), task);
                checkers_core::Outcome {
                    verdict: outcome.verdict,
                    record: None,
                    last_reply: outcome.last_reply,
                }
            }
        }
    };
}

tur_over!(Ready, Answer::GOOD);
tur_over!(Stopped, Answer::sense(fixed_sense(2, 0x04, 0x02)));
tur_over!(Standby, Answer::sense(fixed_sense(2, 0x04, 0x0b)));
tur_over!(Transition, Answer::sense(fixed_sense(2, 0x04, 0x0a)));
tur_over!(NoScsi, Answer::error(libc::ENOTTY));
tur_over!(Hung, {
    std::thread::sleep(Duration::from_secs(4));
    Answer::GOOD
});

fn tur<P: Probe<LastReply = LastReply>>(timeout: u32) -> (Finding, Duration) {
    let class = Class::of::<Asynchronous<P>>();
    let start = Instant::now();
    let null = File::open("/dev/null").unwrap();
    let mut stage = Check::start(&class, null, Seconds(timeout), false).unwrap();
    loop {
        stage = match stage {
            Stage::InFlight(check) => {
                std::thread::sleep(check.due().saturating_duration_since(Instant::now()));
                check.poll()
            }
            Stage::Ended(Outcome::Checked(finding)) => return (finding, start.elapsed()),
            Stage::Ended(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn answers_and_their_reasons() {
    for (finding, state, message, sense) in [
        (tur::<Ready>(9).0, PathState::Up, "reports path is up", None),
        (
            tur::<Stopped>(9).0,
            PathState::Down,
            "reports path is down",
            Some("(02/04/02)"),
        ),
        (
            tur::<Standby>(9).0,
            PathState::Ghost,
            "reports path is ghost",
            Some("(02/04/0b)"),
        ),
        (
            tur::<Transition>(9).0,
            PathState::Pending,
            "reports path is transitioning",
            Some("(02/04/0a)"),
        ),
        (
            tur::<NoScsi>(9).0,
            PathState::Wild,
            "doesn't support this device",
            Some("Inappropriate ioctl for device"),
        ),
    ] {
        assert_eq!(
            (finding.state(), finding.message.as_str()),
            (state, message)
        );
        assert!(finding.latency_us.is_some_and(|us| us < 5_000_000) && !finding.hangs);
        let said = finding.reason.as_ref().map(|reason| reason.text.as_str());
        match sense {
            Some(sense) => assert!(said.unwrap().ends_with(sense), "{said:?}"),
            None => assert_eq!(said, None),
        }
    }
}

#[test]
fn no_answer_is_a_timeout_at_the_limit() {
    let (finding, took) = tur::<Hung>(1);
    assert_eq!(finding.state(), PathState::Timeout);
    assert_eq!(finding.message, "timed out: no answer within 1 s");
    assert_eq!((finding.latency_us, finding.reason), (None, None));
    assert!(finding.hangs);
    let limit = Duration::from_secs(1);
    assert!(took >= limit && took < limit * 2, "took {took:?}");
}

#[test]
fn without_a_limit_there_is_one_poll() {
    assert_eq!(tur::<Ready>(0).0.state(), PathState::Up);
    let (finding, took) = tur::<Hung>(0);
    assert_eq!(finding.state(), PathState::Timeout);
    assert!(took < Duration::from_secs(1), "took {took:?}");
}

#[test]
fn no_checker_for_want_of_aio_says_what_to_do() {
    let sysctl = tempfile::tempdir().unwrap();
    std::fs::write(sysctl.path().join("aio-max-nr"), "65536\n").unwrap();
    std::fs::write(sysctl.path().join("aio-nr"), "65024\n").unwrap();
    assert_eq!(
        not_prepared(InitError::Os(libc::EAGAIN), sysctl.path()),
        "fs.aio-max-nr is 65536 and 65024 are in use: raise it with sysctl"
    );
}
