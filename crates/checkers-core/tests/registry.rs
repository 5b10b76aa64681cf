// SPDX-License-Identifier: LGPL-2.0-or-later

//! The registry, with modules that write down how they are called.

#![expect(clippy::unwrap_used, reason = "a test may fail where it likes")]

use checkers_core::registry::{
    self, Class, InitFailed, Loader, Module, Name, Record, Registry, disable, enable, need_wait,
};
use checkers_core::sync::lock;
use checkers_core::{MessageId, PathState};
use std::ffi::CStr;
use std::os::fd::RawFd;
use std::sync::Mutex;

/// The place of a map's value: an index, and whether it is filled.
type Place = (usize, bool);

/// A host's struct of one path.
#[derive(Clone, Debug, PartialEq)]
struct Path {
    fd: RawFd,
    disabled: bool,
    message: MessageId,
    state: Option<PathState>,
    place: Option<Place>,
    /// What the module has been asked, and how it is to answer.
    calls: Vec<&'static str>,
    init_fails: bool,
    mp_init_fails: bool,
    verdict: PathState,
}

impl Path {
    /// As hosts before 0.11.0 have it.
    fn without_state() -> Path {
        Path {
            fd: 3,
            disabled: false,
            message: MessageId::NONE,
            state: None,
            place: None,
            calls: Vec::new(),
            init_fails: false,
            mp_init_fails: false,
            verdict: PathState::Up,
        }
    }

    /// As hosts from 0.11.0 on have it.
    fn with_state() -> Path {
        Path {
            state: Some(PathState::Unchecked),
            ..Path::without_state()
        }
    }
}

impl Record for Path {
    type Place = Place;

    fn fd(&self) -> RawFd {
        self.fd
    }
    fn is_disabled(&self) -> bool {
        self.disabled
    }
    fn set_disabled(&mut self, disabled: bool) {
        self.disabled = disabled;
    }
    fn set_message(&mut self, message: MessageId) {
        self.message = message;
    }
    fn state(&self) -> Option<PathState> {
        self.state
    }
    fn set_state(&mut self, state: PathState) {
        if self.state.is_some() {
            self.state = Some(state);
        }
    }
    fn place(&self) -> Option<Place> {
        self.place
    }
    fn set_place(&mut self, place: Option<Place>) {
        self.place = place;
    }
    fn place_is_empty(&self) -> bool {
        self.place.is_some_and(|(_, filled)| !filled)
    }
}

/// What the modules of one loader have been through.
#[derive(Default)]
struct Events(Mutex<Vec<String>>);

impl Events {
    fn add(&self, event: impl Into<String>) {
        lock(&self.0).push(event.into());
    }

    /// The events since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.0))
    }
}

#[derive(Clone, Copy)]
struct Fake {
    events: &'static Events,
    collects: bool,
}

impl Module for Fake {
    type Record = Path;

    fn init(self, path: &mut Path) -> bool {
        path.calls.push("init");
        !path.init_fails
    }
    fn mp_init(self, path: &mut Path) -> bool {
        path.calls.push("mp_init");
        if !path.mp_init_fails {
            path.place = path.place.map(|(index, _)| (index, true));
        }
        !path.mp_init_fails
    }
    fn check(self, path: &mut Path) -> PathState {
        path.calls.push("check");
        path.verdict
    }
    fn pending(self, path: &mut Path) -> Option<PathState> {
        self.collects.then(|| {
            path.calls.push("pending");
            path.verdict
        })
    }
    fn need_wait(self, path: &mut Path) -> bool {
        path.calls.push("need_wait");
        true
    }
    fn free(self, path: &mut Path) {
        path.calls.push("free");
    }
    fn reset(self) {
        self.events.add("reset");
    }
    fn unload(self, name: &Name) {
        self.events.add(format!("unload {name}"));
    }
}

/// Loads everything but `absent`.
struct Disk {
    events: &'static Events,
    collects: bool,
}

impl Loader for Disk {
    type Module = Fake;

    fn load(&self, name: &Name) -> Option<Fake> {
        self.events
            .add(format!("load {}", name.full().to_str().unwrap()));
        (name.full() != c"absent").then_some(Fake {
            events: self.events,
            collects: self.collects,
        })
    }
}

struct Bench {
    disk: Disk,
    registry: Registry<Fake>,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            disk: Disk {
                events: Box::leak(Box::default()),
                collects: true,
            },
            registry: Registry::new(),
        }
    }

    fn get(&self, name: &CStr) -> Option<&'static Class<Fake>> {
        self.registry.get(&self.disk, name)
    }

    fn class(&self) -> &'static Class<Fake> {
        self.get(c"tur").unwrap()
    }

    fn events(&self) -> Vec<String> {
        self.disk.events.take()
    }
}

#[test]
fn a_class_is_loaded_once_and_unloaded_with_its_last_reference() {
    let bench = Bench::new();
    let first = bench.class();
    let second = bench.class();
    assert!(std::ptr::eq(first, second));
    assert_eq!(bench.events(), ["load tur"]);

    // The registry's own reference keeps it when no path is left.
    first.release();
    second.release();
    assert_eq!(bench.events(), [""; 0]);
    let third = bench.class();
    assert_eq!(bench.events(), [""; 0]);

    // After the clean-up the last path takes it along.
    bench.registry.cleanup();
    assert_eq!(bench.events(), [""; 0]);
    third.release();
    assert_eq!(bench.events(), ["reset", "unload tur"]);
}

#[test]
fn a_second_cleanup_takes_nothing_that_is_in_use() {
    let bench = Bench::new();
    let class = bench.class();
    bench.registry.cleanup();
    bench.registry.cleanup();
    assert_eq!(bench.events(), ["load tur"]);
    assert!(class.module().is_some());
    class.release();
    assert_eq!(bench.events(), ["reset", "unload tur"]);
    // One too many is logged and otherwise without effect.
    class.release();
    assert_eq!(bench.events(), [""; 0]);
}

#[test]
fn a_class_comes_back_in_its_place() {
    let bench = Bench::new();
    let class = bench.class();
    class.set_sync(false);
    assert!(!class.is_sync());
    assert!(class.hold(), "a loaded class takes another reference");
    class.release();
    bench.registry.cleanup();
    class.release();
    assert!(!class.hold(), "an unloaded class takes no reference");
    assert!(class.module().is_none());

    let again = bench.class();
    assert!(std::ptr::eq(class, again));
    assert!(again.is_sync(), "the flag starts anew");
    bench.registry.cleanup();
    again.release();
    assert_eq!(
        bench.events(),
        [
            "load tur",
            "reset",
            "unload tur",
            "load tur",
            "reset",
            "unload tur"
        ]
    );
}

#[test]
fn what_cannot_be_loaded_is_tried_again_each_time() {
    let bench = Bench::new();
    assert!(bench.get(c"absent").is_none());
    assert!(!bench.registry.add(&bench.disk, c"absent"));
    assert_eq!(bench.events(), ["load absent", "load absent"]);
    assert!(bench.get(c"").is_none());
    assert_eq!(bench.events(), [""; 0]);
}

#[test]
fn the_start_of_a_host_loads_without_a_path() {
    let bench = Bench::new();
    assert!(bench.registry.add(&bench.disk, c"tur"));
    assert!(bench.registry.add(&bench.disk, c"tur"));
    assert_eq!(bench.events(), ["load tur"]);
    bench.registry.cleanup();
    assert_eq!(bench.events(), ["reset", "unload tur"]);
}

#[test]
fn long_names_are_classes_of_their_own() {
    let bench = Bench::new();
    let long = bench.get(c"fifteen-bytes-a-and-more").unwrap();
    let short = bench.get(c"fifteen-bytes-a").unwrap();
    assert!(!std::ptr::eq(long, short));
    assert_eq!(long.name().short(), short.name().short());
    assert!(std::ptr::eq(
        long,
        bench.get(c"fifteen-bytes-a-and-more").unwrap()
    ));
    assert_eq!(
        bench.events(),
        ["load fifteen-bytes-a-and-more", "load fifteen-bytes-a"]
    );
}

#[test]
fn none_has_no_module_and_answers_what_the_host_knows() {
    let bench = Bench::new();
    let none = bench.get(c"nonesuch").unwrap();
    assert_eq!(bench.events(), [""; 0]);
    let mut path = Path::with_state();
    path.fd = -1;
    assert_eq!(registry::init(none, &mut path, Some((0, false))), Ok(()));
    assert_eq!(
        registry::check(Some(none), &mut path, PathState::Ghost),
        PathState::Ghost
    );
    assert_eq!(path.state, Some(PathState::Ghost));
    registry::put(Some(none), &mut path, |_| {});
    assert_eq!(path.calls, [""; 0]);
    bench.registry.reset();
    bench.registry.cleanup();
    assert_eq!(bench.events(), [""; 0]);
}

#[test]
fn init_comes_before_mp_init_and_a_full_place_needs_none() {
    let class = Bench::new().class();
    for (place, calls, after) in [
        (None, &["init"][..], None),
        (Some((7, false)), &["init", "mp_init"], Some((7, true))),
        (Some((7, true)), &["init"], Some((7, true))),
    ] {
        let mut path = Path::with_state();
        assert_eq!(registry::init(class, &mut path, place), Ok(()));
        assert_eq!(path.calls, calls);
        assert_eq!(path.place, after);
    }
}

#[test]
fn a_failed_mp_init_only_costs_the_place() {
    let class = Bench::new().class();
    let mut path = Path::with_state();
    path.mp_init_fails = true;
    assert_eq!(registry::init(class, &mut path, Some((1, false))), Ok(()));
    assert_eq!(path.place, None);
    assert_eq!(
        registry::mp_init(class, &mut path, Some((1, false))),
        Err(InitFailed)
    );
    assert_eq!(path.place, None);

    path.mp_init_fails = false;
    assert_eq!(registry::mp_init(class, &mut path, None), Ok(()));
    assert_eq!(
        registry::mp_init(class, &mut path, Some((1, false))),
        Ok(())
    );
    assert_eq!(path.place, Some((1, true)));
    // From then on there is nothing to do.
    assert_eq!(
        registry::mp_init(class, &mut path, Some((2, false))),
        Ok(())
    );
    assert_eq!(path.place, Some((1, true)));
    assert_eq!(path.calls, ["init", "mp_init", "mp_init", "mp_init"]);
}

#[test]
fn a_declined_path_has_a_reason() {
    assert_eq!(
        InitFailed.to_string(),
        "the checker cannot look at this path"
    );
}

#[test]
fn a_declined_path_is_not_prepared_further() {
    let class = Bench::new().class();
    let mut path = Path::with_state();
    path.init_fails = true;
    assert_eq!(
        registry::init(class, &mut path, Some((1, false))),
        Err(InitFailed)
    );
    assert_eq!(path.calls, ["init"]);
}

#[test]
fn a_check_is_not_made_without_need() {
    let class = Bench::new().class();
    for (disabled, fd, state, message) in [
        (true, 3, PathState::Unchecked, MessageId::DISABLED),
        (true, -1, PathState::Unchecked, MessageId::DISABLED),
        (false, -1, PathState::Wild, MessageId::NO_FD),
    ] {
        for mut path in [Path::without_state(), Path::with_state()] {
            let stores = path.state.is_some();
            path.disabled = disabled;
            path.fd = fd;
            path.message = MessageId::UP;
            assert_eq!(
                registry::check(Some(class), &mut path, PathState::Up),
                state
            );
            assert_eq!(path.message, message);
            assert_eq!(path.state, stores.then_some(state));
            assert_eq!(path.calls, [""; 0]);
        }
    }
}

#[test]
fn descriptor_zero_is_a_descriptor() {
    let class = Bench::new().class();
    let mut path = Path::with_state();
    path.fd = 0;
    path.message = MessageId::DOWN;
    assert_eq!(
        registry::check(Some(class), &mut path, PathState::Down),
        PathState::Up
    );
    assert_eq!(path.message, MessageId::NONE, "cleared before each check");
    assert_eq!(path.calls, ["check"]);
}

#[test]
fn a_pending_answer_is_collected_only_while_it_is_pending() {
    let class = Bench::new().class();
    let mut path = Path::with_state();
    path.verdict = PathState::Pending;
    registry::check(Some(class), &mut path, PathState::Up);
    assert!(need_wait(Some(class), &mut path));
    assert_eq!(registry::state(Some(class), &mut path), PathState::Pending);
    path.verdict = PathState::Down;
    assert_eq!(registry::state(Some(class), &mut path), PathState::Down);
    assert_eq!(path.state, Some(PathState::Down));

    path.verdict = PathState::Up;
    assert!(!need_wait(Some(class), &mut path));
    assert_eq!(registry::state(Some(class), &mut path), PathState::Down);
    assert_eq!(
        path.calls,
        ["check", "need_wait", "pending", "pending"],
        "neither was asked again"
    );
}

#[test]
fn a_module_that_cannot_collect_leaves_the_state() {
    let mut bench = Bench::new();
    bench.disk.collects = false;
    let class = bench.class();
    let mut path = Path::with_state();
    path.state = Some(PathState::Pending);
    assert_eq!(registry::state(Some(class), &mut path), PathState::Pending);
}

#[test]
fn a_disabled_path_does_not_collect_what_was_under_way() {
    let class = Bench::new().class();
    let mut path = Path::with_state();
    path.state = Some(PathState::Pending);
    disable(&mut path);
    assert_eq!(path.message, MessageId::DISABLED);
    assert_eq!(
        registry::state(Some(class), &mut path),
        PathState::Unchecked
    );
    assert!(!need_wait(Some(class), &mut path));
    enable(&mut path);
    assert_eq!(path.state, Some(PathState::Unchecked));
    assert_eq!(path.calls, [""; 0]);
    assert_eq!(
        registry::check(Some(class), &mut path, PathState::Down),
        PathState::Up
    );

    // A host that stores no state asks the check alone, and hears the message there.
    let mut path = Path::without_state();
    path.message = MessageId::UP;
    disable(&mut path);
    assert_eq!(path.message, MessageId::UP);
    assert!(path.disabled);
}

#[test]
fn a_path_without_a_class_is_unchecked() {
    let none: Option<&Class<Fake>> = None;
    let mut path = Path::with_state();
    path.state = Some(PathState::Pending);
    assert_eq!(registry::state(none, &mut path), PathState::Unchecked);
    assert!(!need_wait(none, &mut path));
    assert_eq!(
        registry::check(none, &mut path, PathState::Up),
        PathState::Unchecked
    );
    registry::put(none, &mut path, |path| path.fd = -1);
    assert_eq!(path.fd, -1);
}

#[test]
fn put_frees_then_clears_then_gives_the_class_back() {
    let bench = Bench::new();
    let class = bench.class();
    bench.registry.cleanup();
    bench.events();
    let mut path = Path::with_state();
    registry::put(Some(class), &mut path, |path| {
        assert_eq!(path.calls, ["free"]);
        bench.disk.events.add("clear");
    });
    assert_eq!(bench.events(), ["clear", "reset", "unload tur"]);
}

#[test]
fn reset_reaches_every_loaded_class() {
    let bench = Bench::new();
    bench.get(c"tur");
    bench.get(c"rdac");
    bench.get(c"none");
    bench.events();
    bench.registry.reset();
    assert_eq!(bench.events(), ["reset", "reset"]);
}

#[test]
fn many_threads_load_a_class_once_and_unload_it_once() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    bench.class().release();
                }
            });
        }
    });
    bench.registry.cleanup();
    assert_eq!(bench.events(), ["load tur", "reset", "unload tur"]);
}
