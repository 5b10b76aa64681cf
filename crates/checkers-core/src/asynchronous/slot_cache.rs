// SPDX-License-Identifier: LGPL-2.0-or-later

//! Jobs for reuse.

#![forbid(unsafe_code)]

use super::pool::{Job, Pool};
use crate::memory::{OutOfMemory, try_box};
use crate::sync::{Mutex, MutexGuard, lock};

/// The jobs of one kind that are free for reuse.
///
/// Jobs are never freed, since a hung worker may use one indefinitely. Their number is that of the most in
/// use at one time, hung ones included.
pub struct SlotCache<J: 'static> {
    pool: &'static Pool,
    free: Mutex<Free<J>>,
}

struct Free<J: 'static> {
    /// Has room for every job ever made, so that putting one back never allocates.
    list: Vec<&'static J>,
    made: usize,
}

/// Keeps a [`SlotCache`] locked; see [`SlotCache::hold`].
pub struct Held<J: 'static>(
    #[expect(dead_code, reason = "held for its drop")] MutexGuard<'static, Free<J>>,
);

impl Pool {
    /// The cache for jobs of type `J`, which lives as long as the process.
    ///
    /// # Errors
    /// [`OutOfMemory`] when it would have to be made.
    pub fn slots<J: Job + Send + 'static>(
        &'static self,
    ) -> Result<&'static SlotCache<J>, OutOfMemory> {
        self.shared(SlotCache::new)
    }
}

impl<J: Job> SlotCache<J> {
    /// A cache without jobs, for jobs that are submitted to `pool`.
    pub const fn new(pool: &'static Pool) -> SlotCache<J> {
        SlotCache {
            pool,
            free: Mutex::new(Free {
                list: Vec::new(),
                made: 0,
            }),
        }
    }

    /// A job for the caller alone, in the state in which it was put back, else a `new` one. The pool
    /// has room for it.
    ///
    /// # Errors
    /// [`OutOfMemory`], when none is free for reuse.
    pub fn take(&'static self, new: fn(&'static Self) -> J) -> Result<&'static J, OutOfMemory> {
        let mut free = lock(&self.free);
        if let Some(job) = free.list.pop() {
            return Ok(job);
        }
        let room = free.made + 1 - free.list.len();
        free.list.try_reserve(room).map_err(|_| OutOfMemory)?;
        let job = try_box(new(self))?;
        // Last, since it cannot be undone.
        self.pool.make_room()?;
        let [job] = Box::leak(job);
        free.made += 1;
        Ok(job)
    }

    /// Locks the list until the guard is dropped, so that a child process forked meanwhile finds it
    /// unlocked once its copy of the guard has been dropped.
    pub fn hold(&'static self) -> Held<J> {
        Held(lock(&self.free))
    }

    /// How many jobs have been taken and not put back.
    pub fn in_use(&self) -> usize {
        let free = lock(&self.free);
        free.made - free.list.len()
    }

    /// Gives a job up that [`SlotCache::take`] has given. It must not be in the pool.
    pub fn put_back(&self, job: &'static J) {
        lock(&self.free).list.push(job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::POOL;
    use crate::sync::Condvar;

    struct Nothing;

    impl Job for Nothing {
        fn run(&'static self) -> Option<&'static Condvar> {
            None
        }
    }

    #[test]
    fn there_is_room_for_every_job_ever_made() {
        let cache = POOL.slots().unwrap();
        let taken: Vec<_> = (1..100)
            .map(|made| {
                let job = cache.take(|_| Nothing).unwrap();
                assert!(lock(&cache.free).list.capacity() >= made);
                job
            })
            .collect();
        for job in taken {
            cache.put_back(job);
        }
    }
}
