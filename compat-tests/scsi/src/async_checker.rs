//! A path's checker as multipath-tools 0.15.0 makes it of a plugin's function: the host's side of the
//! protocol, over the real runner threads.
//!
//! The rules are those of its libmultipath/async_checker.c, which no library exports. What the host
//! itself logs about them is left out.

use crate::host;
use crate::runners::{Runner, Runners, Status};
use compat_tests::async_plugin::{AsyncPlugin, Order};
use compat_tests::layout::Checker;
use std::ffi::{c_int, c_long, c_short};

const PENDING: c_int = 6;
const TIMEOUT: c_int = 7;
const TIMED_OUT: c_short = 9;
const RUNNING: c_short = 10;

/// "No value" in a map's word.
pub(crate) const NO_VALUE: c_long = -1;

/// How many late runners are released before one is waited for.
const RELEASED: u32 = 1;

/// What the host keeps behind `context`.
pub(crate) struct AsyncChecker<'a> {
    runners: &'a Runners,
    order: Order<'a>,
    runner: Option<Runner>,
    /// How many runners in a row were late.
    late: u32,
}

impl<'a> AsyncChecker<'a> {
    /// One for a path.
    pub(crate) fn new(plugin: &'a AsyncPlugin, runners: &'a Runners) -> Self {
        AsyncChecker {
            runners,
            order: Order::new(plugin),
            runner: None,
            late: 0,
        }
    }

    /// `async_check_init`: the plugin's preparation gets neither descriptor nor time limit.
    pub(crate) fn init(&mut self) -> c_int {
        self.order.init().unwrap_or(0)
    }

    /// The preparation as its author meant it, with descriptor and time limit. No host does this.
    pub(crate) fn prepare_as_meant(&self, checker: &Checker) {
        let mut order = self.order.copy();
        order.data().fd = checker.fd();
        order.data().timeout = checker.timeout();
        order.init();
    }

    /// `async_check_check`.
    pub(crate) fn check(
        &mut self,
        checker: &mut Checker,
        map: Option<&mut c_long>,
        sync: bool,
    ) -> c_int {
        if let Some(value) = map.as_deref().filter(|value| **value != NO_VALUE) {
            self.order.data().map = *value;
        }
        if self.runner.is_some() {
            return self.pending(checker, map);
        }
        let data = self.order.data();
        data.fd = checker.fd();
        data.timeout = checker.timeout();
        data.state = PENDING;
        data.msgid = RUNNING;
        if sync {
            // `checker` does not get the message.
            let state = self.order.run();
            self.share(map);
            return state;
        }
        // The product has the width of the time limit.
        let micros = checker.timeout().wrapping_mul(1_000_000);
        self.runner = host::silently(|| self.runners.get(&mut self.order, micros));
        if self.runner.is_none() {
            return self.order.run();
        }
        checker.set_msgid(self.order.data().msgid);
        self.order.data().state
    }

    /// `async_check_pending`; the state that the host has stored if nothing runs.
    pub(crate) fn pending(&mut self, checker: &mut Checker, map: Option<&mut c_long>) -> c_int {
        let Some(runner) = self.runner.take() else {
            return checker.path_state().unwrap_or(PENDING);
        };
        let status = host::silently(|| self.runners.check(&runner, &mut self.order));
        match status {
            Status::Running => {
                self.order.data().msgid = RUNNING;
                self.runner = Some(runner);
            }
            Status::Done => {
                self.late = 0;
                self.release(runner);
                host::take_over_lines(checker.fd());
            }
            Status::Dead => {
                self.late = 0;
                self.give_up();
                self.release(runner);
            }
            Status::Cancelled => {
                self.give_up();
                self.late += 1;
                if self.late <= RELEASED {
                    self.release(runner);
                } else {
                    self.runner = Some(runner);
                }
            }
        }
        checker.set_msgid(self.order.data().msgid);
        if status == Status::Done {
            self.share(map);
        }
        self.order.data().state
    }

    /// `async_check_need_wait`.
    pub(crate) fn need_wait(&self) -> bool {
        self.runner.is_some()
    }

    /// `async_check_free`.
    pub(crate) fn free(&mut self) {
        if let Some(runner) = self.runner.take() {
            self.release(runner);
        }
    }

    /// The message that the plugin's function left, whether the host shows it or not.
    pub(crate) fn message(&mut self) -> c_short {
        self.order.data().msgid
    }

    fn give_up(&mut self) {
        self.order.data().state = TIMEOUT;
        self.order.data().msgid = TIMED_OUT;
    }

    fn release(&self, runner: Runner) {
        host::silently(|| self.runners.release(runner));
    }

    /// Gives the map's value to the other paths.
    fn share(&mut self, map: Option<&mut c_long>) {
        let value = self.order.data().map;
        if let Some(map) = map.filter(|_| value != NO_VALUE) {
            *map = value;
        }
    }
}
