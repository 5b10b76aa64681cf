// SPDX-License-Identifier: LGPL-2.0-or-later

//! Slots, over devices that hang as long as a test wants.

#![forbid(unsafe_code)]

use super::*;
use crate::{
    Asynchronous, Call, Checker, Delivery, Messages, Mode, Monotonic, NoLogRecord, PathState,
    Verdict, pool,
};
use std::sync::atomic::{AtomicI32, AtomicU64};

struct Device;

impl Probe for Device {
    const NAME: &'static str = "device";
    const MESSAGES: Messages = Messages::COMMON;
    type Memory = ();
    type LogRecord = NoLogRecord;
    type LastReply = ();

    fn probe(_task: &mut Task<'_, ()>) -> Outcome<Self> {
        while HOLD.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Verdict::UP.into()
    }
}

static SUPPLY: AtomicI32 = AtomicI32::new(1);
static HOLD: AtomicBool = AtomicBool::new(false);

fn start(slot: &'static Slot<Device>) {
    let order = Order {
        target: Target {
            fd: -1,
            timeout: Seconds(5),
        },
        memory: (),
        map: MapMemory::Absent,
    };
    slot.start_probe(order).unwrap();
}

fn within(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "never happened");
        std::thread::sleep(Duration::from_millis(1));
    }
}

// One test, since the supply of threads and the slots are those of the process.
#[test]
fn a_slot_is_reused_after_its_path_and_only_then() {
    // A starter, and no worker at first.
    pool::set_spawner(|body| match SUPPLY.fetch_sub(1, Ordering::SeqCst) {
        1.. => std::thread::Builder::new().spawn(body).map(drop),
        _ => Err(std::io::ErrorKind::WouldBlock.into()),
    });
    let slot = Slot::<Device>::claim().unwrap();
    reused_if_it_waits_for_a_thread(slot);
    SUPPLY.store(1000, Ordering::SeqCst);
    returned_by_the_worker_that_has_it(slot);
    kept_while_its_path_lives();
    a_wait_ends_with_the_run();
    both_slots_of_a_hung_path_come_back();
}

fn reused_if_it_waits_for_a_thread(slot: &'static Slot<Device>) {
    start(slot);
    assert!(matches!(slot.progress(), Progress::Queued));
    slot.abandon();
    for _ in 0..100 {
        let next = Slot::<Device>::claim().unwrap();
        assert!(std::ptr::eq(slot, next), "another slot was made");
        assert!(!next.is_busy());
        start(next);
        next.abandon();
    }
}

fn returned_by_the_worker_that_has_it(slot: &'static Slot<Device>) {
    assert!(std::ptr::eq(slot, Slot::<Device>::claim().unwrap()));
    HOLD.store(true, Ordering::SeqCst);
    start(slot);
    within(|| matches!(slot.progress(), Progress::Executing));
    slot.abandon();
    let comes_next = || {
        let next = Slot::<Device>::claim().unwrap();
        let same = std::ptr::eq(slot, next);
        next.abandon();
        same
    };
    assert!(!comes_next(), "a worker still has it");
    HOLD.store(false, Ordering::SeqCst);
    within(comes_next);
}

fn kept_while_its_path_lives() {
    let slot = Slot::<Device>::claim().unwrap();
    for _ in 0..50 {
        start(slot);
        within(|| matches!(slot.progress(), Progress::Ended(Some(_))));
        let next = Slot::<Device>::claim().unwrap();
        assert!(!std::ptr::eq(slot, next), "two paths have one slot");
        next.abandon();
    }
}

fn a_wait_ends_with_the_run() {
    let slot = Slot::<Device>::claim().unwrap();
    HOLD.store(true, Ordering::SeqCst);
    start(slot);
    let limit = Duration::from_secs(20);
    let waiter = std::thread::spawn(move || {
        let start = Instant::now();
        slot.wait(limit);
        start.elapsed()
    });
    within(|| lock(&slot.run).awaited);
    HOLD.store(false, Ordering::SeqCst);
    assert!(waiter.join().unwrap() < limit, "not signalled");
    slot.abandon();
}

fn both_slots_of_a_hung_path_come_back() {
    static SECOND: AtomicU64 = AtomicU64::new(0);
    let in_use = || POOL.slots::<Slot<Device>>().unwrap().in_use();
    let before = in_use();
    let call = Call {
        fd: -1,
        timeout: Seconds(5),
        mode: Mode::Async,
        delivery: Delivery::Pending,
        path_state: PathState::Unchecked,
        map: MapMemory::Absent,
        clock: || Monotonic {
            seconds: SECOND.load(Ordering::SeqCst),
            nanos: 0,
        },
    };
    for freed_while_hung in [true, false] {
        HOLD.store(true, Ordering::SeqCst);
        let mut path = Asynchronous::<Device>::init(&call).instance.unwrap();
        for slots in 1..=2 {
            assert_eq!(path.check(&call).verdict.state, PathState::Pending);
            within(|| {
                SECOND.fetch_add(6, Ordering::SeqCst);
                path.check(&call).verdict.state == PathState::Timeout
            });
            assert_eq!(in_use(), before + slots);
        }
        if !freed_while_hung {
            HOLD.store(false, Ordering::SeqCst);
            within(|| {
                path.check(&call);
                path.pending(&call).verdict == Verdict::UP && in_use() == before + 1
            });
        }
        path.free(&call);
        HOLD.store(false, Ordering::SeqCst);
        within(|| in_use() == before);
    }
}
