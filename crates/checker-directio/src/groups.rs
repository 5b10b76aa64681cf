//! All groups of the process: which one a new path joins, and when one goes.

use crate::errand::Errand;
use crate::group::{Group, NoGroup, Stage};
use checkers_core::memory::OutOfMemory;
use checkers_core::sync::lock;
use libaio_sys::Submitted;
use std::sync::{Mutex, MutexGuard};

/// A path's place: a group and an index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    group: u64,
    index: u16,
}

impl Place {
    /// The index in the group.
    pub(crate) fn index(self) -> u16 {
        self.index
    }
}

static GROUPS: Mutex<Groups> = Mutex::new(Groups {
    list: Vec::new(),
    next_id: 0,
    waiting: 0,
});

pub(crate) struct Groups {
    /// In the order of the ids, so the newest comes last.
    list: Vec<(u64, Group)>,
    next_id: u64,
    /// Callers that wait for another one to come back from the kernel, or for a worker.
    pub(crate) waiting: usize,
}

/// The groups, for as long as the guard lives. Nothing that can wait may be done with it.
pub(crate) fn groups() -> MutexGuard<'static, Groups> {
    lock(&GROUPS)
}

impl Groups {
    /// Gives a path a place in the newest group that has room, or in a new one.
    pub(crate) fn join(&mut self) -> Result<Place, NoGroup> {
        for (id, group) in self.list.iter_mut().rev() {
            if !group.has_room() && group.has_orphans() {
                group.reap();
            }
            if group.has_room() {
                let index = group.join().ok_or(NoGroup::OutOfMemory)?;
                return Ok(Place { group: *id, index });
            }
        }
        self.list.try_reserve(1).map_err(|_| OutOfMemory)?;
        let mut group = Group::new()?;
        let index = group.join().ok_or(NoGroup::OutOfMemory)?;
        let id = self.next_id;
        self.next_id += 1;
        self.list.push((id, group));
        Ok(Place { group: id, index })
    }

    /// Gives a place up. When that leaves a group to nobody but orphans, so that nobody would ever
    /// look at it again, the group is taken away.
    pub(crate) fn leave(&mut self, place: Place) -> Option<Group> {
        let at = self.position(place).ok()?;
        let (_, group) = self.list.get_mut(at)?;
        group.leave(place.index);
        self.take_forsaken(at)
    }

    /// Takes note of what came of a submission that a worker made. The group may be left to nobody
    /// but orphans by now, and is taken away then as in [`Groups::leave`].
    pub(crate) fn settle_sent(
        &mut self,
        place: Place,
        errand: &'static Errand,
        submitted: Submitted,
    ) -> Option<Group> {
        let at = self.position(place).ok()?;
        let (_, group) = self.list.get_mut(at)?;
        group.settle_sent(place.index, errand, submitted);
        self.take_forsaken(at)
    }

    fn take_forsaken(&mut self, at: usize) -> Option<Group> {
        let (_, group) = self.list.get(at)?;
        let forsaken = group.is_all_orphans() && !group.is_submitting();
        forsaken.then(|| self.list.remove(at).1)
    }

    /// The group of a place. Groups with living paths, or with a submission under way, are never
    /// taken away.
    pub(crate) fn of(&mut self, place: Place) -> Option<&mut Group> {
        let at = self.position(place).ok()?;
        self.list.get_mut(at).map(|(_, group)| group)
    }

    /// Takes away a group without a living path. One with a submission under way stays for the next
    /// paths.
    pub(crate) fn take_deserted(&mut self) -> Option<Group> {
        let at = self
            .list
            .iter()
            .position(|(_, group)| group.is_deserted() && !group.is_submitting())?;
        Some(self.list.remove(at).1)
    }

    /// Where the request in a place stands.
    pub(crate) fn stage(&mut self, place: Place) -> Stage {
        self.of(place)
            .map_or(Stage::Idle, |group| group.stage(place.index))
    }

    fn position(&self, place: Place) -> Result<usize, usize> {
        self.list.binary_search_by_key(&place.group, |(id, _)| *id)
    }
}
