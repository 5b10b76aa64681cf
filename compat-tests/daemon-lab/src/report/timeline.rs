// SPDX-License-Identifier: LGPL-2.0-or-later
//! The timeline: one line per record.

use crate::model::{Completion, Event, Record, suite::package_list};

/// The line for a record, without a newline; `None` for records that only tables show.
pub(crate) fn line(record: &Record) -> Option<String> {
    let seconds = |ms: u64| ms as f64 / 1000.0;
    let result = |ok: bool| if ok { "ok    " } else { "FAILED" };
    let text = match &record.event {
        Event::Tree { packages } => package_list(packages),
        Event::Ready { kernel } => format!("guest is up, kernel {kernel}"),
        Event::Begin { scenario } => format!("== {scenario}"),
        Event::Fault { what } => format!("FAULT   {what}"),
        Event::Release { what } => format!("RELEASE {what}"),
        Event::Path { path, view } => match view {
            Some(view) => format!("        path {path}: {view}"),
            None => format!("        path {path}: gone"),
        },
        Event::Step {
            what, ok, after, ..
        } => format!("{}  {what}, {:.1} s", result(*ok), seconds(*after)),
        Event::Took {
            operation,
            ms,
            completion,
        } => {
            let (ok, remark) = match completion {
                Completion::Completed => (true, ""),
                Completion::AfterRelease => (true, ", WAITED for the hung device"),
                Completion::Incomplete => (false, ", not completed"),
            };
            format!("{}  {operation}: {:.1} s{remark}", result(ok), seconds(*ms))
        }
        Event::Note { text } => format!("        {text}"),
        Event::NotRun { why } => format!("NOT RUN {why}"),
        Event::Figure { .. } | Event::End { .. } | Event::Done => return None,
    };
    Some(format!("{:8.3}  {text}", seconds(record.at)))
}
