// SPDX-License-Identifier: LGPL-2.0-or-later

//! Contexts: the kernel's side of each, and the interface of libaio-sys.

#![allow(missing_docs, reason = "the names are those of libaio-sys")]

use super::{Taken, block_size, device_of, may_block, violation, with_world};
use checkers_core::sync::{Condvar, Mutex, chance, lock, thread};
use kernel_fd::Errno;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::RawFd;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// The kernel's side of a context.
pub(super) struct KernelContext {
    state: Mutex<KernelState>,
    /// Signalled when a read has completed.
    completed: Condvar,
}

#[derive(Debug, Default)]
struct KernelState {
    ring: VecDeque<Event>,
    in_flight: usize,
    destroyed: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    key: u64,
    res: i64,
}

impl std::fmt::Debug for KernelContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KernelContext")
    }
}

impl KernelContext {
    pub(super) fn post(&self, event: Event) {
        let mut state = lock(&self.state);
        state.in_flight -= 1;
        state.ring.push_back(event);
        self.completed.notify_all();
    }

    /// A request begins, unless the context has been destroyed.
    fn begin(&self) -> Result<(), Errno> {
        let mut state = lock(&self.state);
        if state.destroyed {
            violation("a submission to a destroyed context");
            return Err(Errno(libc::EINVAL));
        }
        state.in_flight += 1;
        Ok(())
    }

    /// `io_destroy`: the quota is returned at once, then every request is waited for.
    fn destroy(&self) {
        let mut state = lock(&self.state);
        state.destroyed = true;
        while state.in_flight > 0 {
            state = self
                .completed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        with_world(|world| world.contexts -= 1);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    pub token: u64,
    pub res: i64,
    pub res2: i64,
}

#[derive(Debug)]
pub struct Context {
    kernel: Arc<KernelContext>,
    /// The tokens of requests in flight.
    requests: BTreeMap<u64, u64>,
    next_key: u64,
    mapped: usize,
    unused: usize,
    waiters: usize,
    submissions: usize,
    destroyed: bool,
}

#[derive(Debug)]
pub struct Remains {
    _context: Context,
}

#[derive(Debug)]
pub struct Quota(Arc<KernelContext>);

impl Quota {
    pub fn is_returned(&self) -> bool {
        lock(&self.0.state).destroyed
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing;

impl Missing {
    pub fn map(self) -> Result<Memory, Errno> {
        may_block();
        Ok(Memory)
    }
}

#[derive(Debug)]
pub struct Memory;

impl Drop for Memory {
    fn drop(&mut self) {
        may_block();
    }
}

impl Context {
    pub fn new(_events: u16) -> Result<Context, Errno> {
        may_block();
        with_world(|world| world.contexts += 1);
        Ok(Context {
            kernel: Arc::new(KernelContext {
                state: Mutex::new(KernelState::default()),
                completed: Condvar::new(),
            }),
            requests: BTreeMap::new(),
            next_key: 0,
            mapped: 0,
            unused: 0,
            waiters: 0,
            submissions: 0,
            destroyed: false,
        })
    }

    pub fn begin_read(&mut self, length: usize, token: u64) -> Result<Submission, Errno> {
        if self.requests.values().any(|other| *other == token) {
            violation("a second read in the slot of one in flight");
        }
        if !self.is_ready(length) {
            return Err(Errno(libc::ENOMEM));
        }
        self.next_key += 1;
        self.requests.insert(self.next_key, token);
        self.submissions += 1;
        Ok(Submission {
            kernel: Arc::clone(&self.kernel),
            key: self.next_key,
        })
    }

    pub fn is_ready(&self, _length: usize) -> bool {
        self.requests.len() < self.mapped
    }

    pub fn missing(&self, length: usize) -> Result<Option<Missing>, Errno> {
        Ok((!self.is_ready(length)).then_some(Missing))
    }

    pub fn supply(&mut self, memory: Memory) -> Option<Memory> {
        if self.is_ready(0) {
            return Some(memory);
        }
        self.mapped += 1;
        std::mem::forget(memory);
        None
    }

    pub fn settle(&mut self, submitted: Submitted) -> Result<(), Errno> {
        self.submissions -= 1;
        if submitted.result.is_err() {
            self.requests.remove(&submitted.key);
        }
        submitted.result
    }

    pub fn reap(&mut self, each: impl FnMut(Completion)) -> Result<usize, Errno> {
        let events = std::mem::take(&mut lock(&self.kernel.state).ring);
        Ok(self.complete(events, each))
    }

    pub fn newest(&self) -> Option<Completion> {
        if self.waiters > 0 {
            return None;
        }
        let Event { key, res } = *lock(&self.kernel.state).ring.back()?;
        let token = *self.requests.get(&key)?;
        Some(Completion {
            token,
            res,
            res2: 0,
        })
    }

    pub fn waiter(&mut self) -> Waiter {
        self.waiters += 1;
        Waiter(Arc::clone(&self.kernel))
    }

    pub fn release(&mut self, _waiter: Waiter) {
        self.waiters -= 1;
    }

    pub fn accept(&mut self, events: Events, each: impl FnMut(Completion)) {
        self.complete(events.0, each);
    }

    fn complete(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        mut each: impl FnMut(Completion),
    ) -> usize {
        let mut count = 0;
        for Event { key, res } in events {
            let Some(token) = self.requests.remove(&key) else {
                violation("a completion that is not of a request in flight");
                continue;
            };
            count += 1;
            each(Completion {
                token,
                res,
                res2: 0,
            });
        }
        count
    }

    pub fn submissions(&self) -> usize {
        self.submissions
    }

    pub fn shrink(&mut self) {
        if chance(50) {
            self.trim();
        }
    }

    pub fn trim(&mut self) {
        self.unused = self.mapped.saturating_sub(self.requests.len());
    }

    pub fn take_unused(&mut self) -> Option<Memory> {
        if self.unused == 0 || self.mapped <= self.requests.len() {
            return None;
        }
        self.unused -= 1;
        self.mapped -= 1;
        Some(Memory)
    }

    pub fn is_here(&self) -> bool {
        true
    }

    pub fn is_idle(&self) -> bool {
        self.requests.is_empty() && !self.is_lent()
    }

    pub fn drain_and_destroy(mut self) -> Remains {
        may_block();
        if self.is_lent() {
            violation("a context is destroyed that is in use");
        } else {
            self.kernel.destroy();
            self.destroyed = true;
        }
        Remains { _context: self }
    }

    pub fn quota(&self) -> Quota {
        Quota(Arc::clone(&self.kernel))
    }

    fn is_lent(&self) -> bool {
        self.waiters > 0 || self.submissions > 0
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.destroyed || std::thread::panicking() {
            return;
        }
        may_block();
        let _ = self.reap(|_| {});
        if self.is_idle() {
            self.kernel.destroy();
        } else {
            violation("a context is left behind");
        }
    }
}

#[derive(Debug)]
pub struct Submission {
    kernel: Arc<KernelContext>,
    key: u64,
}

#[derive(Debug)]
pub struct Submitted {
    key: u64,
    result: Result<(), Errno>,
}

impl Submission {
    /// Sleeps for as long as the device hangs.
    pub fn submit(self, fd: RawFd) -> Submitted {
        may_block();
        let result = device_of(fd).and_then(|device| {
            self.kernel.begin()?;
            let devices = with_world(|world| Arc::clone(&world.devices));
            let mut hung = lock(&devices.hung);
            while hung.contains(&device) {
                hung = devices
                    .released
                    .wait(hung)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            drop(hung);
            self.take(device);
            Ok(())
        });
        self.ended(result)
    }

    /// A device that hangs refuses the read, or has taken it and hangs then; one that does not refuses now and
    /// then. One of four is a file, which cannot tell in advance.
    pub fn submit_nowait(self, fd: RawFd) -> Submitted {
        may_block();
        let result = device_of(fd).and_then(|device| {
            if device % 4 == 3 {
                return Err(Errno(libc::EOPNOTSUPP));
            }
            self.kernel.begin()?;
            let devices = with_world(|world| Arc::clone(&world.devices));
            let hangs = lock(&devices.hung).contains(&device);
            if chance(if hangs { 50 } else { 10 }) {
                self.post(-i64::from(libc::EAGAIN));
            } else {
                self.take(device);
            }
            Ok(())
        });
        self.ended(result)
    }

    pub fn withdraw(self) -> Submitted {
        self.ended(Err(Errno(libc::ECANCELED)))
    }

    /// The device has the read, and completes it at once or later.
    fn take(&self, device: u32) {
        let devices = with_world(|world| Arc::clone(&world.devices));
        let hangs = lock(&devices.hung).contains(&device);
        let res = i64::from(block_size(device));
        if !hangs && chance(30) {
            return self.post(res);
        }
        let taken = Taken {
            device,
            kernel: Arc::clone(&self.kernel),
            event: Event { key: self.key, res },
        };
        with_world(|world| world.taken.push(taken));
    }

    fn post(&self, res: i64) {
        self.kernel.post(Event { key: self.key, res });
    }

    fn ended(self, result: Result<(), Errno>) -> Submitted {
        thread::yield_now();
        Submitted {
            key: self.key,
            result,
        }
    }
}

#[derive(Debug)]
pub struct Waiter(Arc<KernelContext>);

#[derive(Debug)]
pub struct Events(VecDeque<Event>);

impl Waiter {
    /// Now and then a signal ends the wait.
    pub fn wait(&self, timeout: Duration) -> Result<Events, Errno> {
        may_block();
        let mut state = lock(&self.0.state);
        if state.ring.is_empty() {
            if chance(10) {
                return Err(Errno(libc::EINTR));
            }
            let woken = self.0.completed.wait_timeout(state, timeout);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(Events(std::mem::take(&mut state.ring)))
    }
}
