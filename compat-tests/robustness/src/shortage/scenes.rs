//! What else befalls a host: fork, signals, stops, cancelled threads. Each scene says what it counted,
//! and fails when any verdict was not the device's.

use super::faults::{self, Resource};
use super::host::wait;
use super::world::{Behind, Common, LIMIT, PENDING, Path, UP, broken};
use bench::{threads, usage};
use harness::{Doing, Result, Trouble};
use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

/// How long a verdict of a device that answers may take, on a machine that is busy.
const SOON: Duration = Duration::from_secs(12);

/// Plays the scene `name`, `count` times whatever it does.
pub(super) fn play(common: &Common, name: &str, count: u32) -> Result<String> {
    match name {
        "fork" => fork(common, count),
        "signals" => signals(common, count),
        "stop" => stop(common, count, Moment::InTheMiddle),
        "stop-late" => stop(common, count, Moment::Answered),
        "cancel" => cancel(common, count),
        "crowd" => crowd(common, count),
        "no-thread" => no_thread(common, count),
        _ => Err(Trouble::Broken(format!("no scene {name}"))),
    }
}

/// From init to free; the verdict in between.
fn life(common: &Common, behind: Behind, device: u8) -> Result<c_int> {
    let mut path = Path::new(common, behind, device)?;
    if !path.init(LIMIT)? {
        return Err(broken("init failed"));
    }
    let state = path.verdict(SOON)?;
    path.free()?;
    Ok(state)
}

/// Threads check paths while the process forks, and its children check a path by themselves.
fn fork(common: &Common, count: u32) -> Result<String> {
    const CHECKERS: u8 = 3;
    const NO_CHECKER: c_int = 99;
    let over = AtomicBool::new(false);
    let lives = AtomicU64::new(0);
    let mut ends = BTreeMap::<String, u32>::new();
    let troubles = std::thread::scope(|scope| -> Result<Vec<Trouble>> {
        let checkers: Vec<_> = (0..CHECKERS)
            .map(|number| {
                let (over, lives) = (&over, &lives);
                scope.spawn(move || -> Result<()> {
                    faults::this_is_the_host();
                    while !over.load(Relaxed) {
                        is_up(life(common, Behind::Up, 10 + number)?)?;
                        lives.fetch_add(1, Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        for _ in 0..count {
            std::thread::sleep(Duration::from_micros(700));
            // SAFETY: the child makes a few calls that a host might make, and ends without cleaning
            // up.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: ends the process if it hangs.
                unsafe { libc::alarm(10) };
                let end = life(common, Behind::Up, 20).unwrap_or(NO_CHECKER);
                // SAFETY: ends the process.
                unsafe { libc::_exit(end) };
            }
            let end = match wait(child) {
                Some(status) if libc::WIFSIGNALED(status) => match libc::WTERMSIG(status) {
                    libc::SIGALRM => "hung".to_owned(),
                    signal => format!("ended by signal {signal}"),
                },
                Some(status) => match libc::WEXITSTATUS(status) {
                    UP => "up".to_owned(),
                    NO_CHECKER => "without a checker".to_owned(),
                    state => format!("state {state}"),
                },
                None => "hung in the kernel".to_owned(),
            };
            *ends.entry(end).or_default() += 1;
            // Each takes 10 s.
            if ends.get("hung").is_some_and(|hung| *hung > 2) {
                break;
            }
        }
        over.store(true, Relaxed);
        let ended = checkers.into_iter().map(|checker| checker.join());
        let ended = ended.map(|end| end.unwrap_or(Err(broken("a thread has panicked"))));
        Ok(ended.filter_map(std::result::Result::err).collect())
    })?;
    let lives = lives.load(Relaxed);
    let text = format!("children {ends:?}, {lives} lives beside them");
    if let Some(trouble) = troubles.first() {
        return Err(Trouble::Broken(format!("{text}; {trouble}")));
    }
    all_were(ends.len() == 1 && ends.contains_key("up"), text)
}

static SIGNALS: AtomicU64 = AtomicU64::new(0);

extern "C" fn count_signal(_: c_int) {
    SIGNALS.fetch_add(1, Relaxed);
}

/// A signal every 100 µs, which interrupts system calls.
fn signals(common: &Common, count: u32) -> Result<String> {
    let every = |micros| libc::itimerval {
        it_interval: libc::timeval {
            tv_sec: 0,
            tv_usec: micros,
        },
        it_value: libc::timeval {
            tv_sec: 0,
            tv_usec: micros,
        },
    };
    // SAFETY: the action is initialised; without SA_RESTART, so that calls are interrupted. The timer
    // reads one itimerval of ours.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count_signal as extern "C" fn(c_int) as usize;
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
        libc::setitimer(libc::ITIMER_REAL, &every(100), std::ptr::null_mut());
    }
    let mut ends = BTreeMap::<String, u32>::new();
    // Reads of a file take microseconds.
    let lives = if common.reads { count * 20 } else { count };
    for round in 0..lives {
        let sync = round % 2 == 1;
        faults::set_sync(sync);
        let behind = match round % 8 {
            6 | 7 => Behind::Slow,
            4 | 5 if !sync => Behind::Deferred,
            _ => Behind::Up,
        };
        let end = match life(common, behind, 10)? {
            UP => "up".to_owned(),
            state => format!("state {state} (sync: {sync}, {behind:?})"),
        };
        *ends.entry(end).or_default() += 1;
    }
    // SAFETY: as above.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &every(0), std::ptr::null_mut()) };
    let text = format!("{ends:?} with {} signals", SIGNALS.load(Relaxed));
    all_were(ends.len() == 1 && ends.contains_key("up"), text)
}

/// When the process is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// While commands are under way, for less than the time limit.
    InTheMiddle,
    /// When they have been answered, for longer than the time limit.
    Answered,
}

/// The process is stopped in the middle of healthy checks.
fn stop(common: &Common, count: u32, moment: Moment) -> Result<String> {
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = match be_stopped(common, count, moment) {
            Ok(text) => {
                println!("{text}");
                0
            }
            Err(trouble) => {
                println!("{trouble}");
                1
            }
        };
        // SAFETY: ends the process.
        unsafe { libc::_exit(code) };
    }
    let pause = match moment {
        Moment::InTheMiddle => Duration::from_millis(400),
        Moment::Answered => Duration::from_millis(1300),
    };
    loop {
        let mut status = 0;
        // SAFETY: a child of ours, and room for its status.
        unsafe { libc::waitpid(child, &raw mut status, libc::WUNTRACED) };
        if !libc::WIFSTOPPED(status) {
            let ended_well = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
            return all_were(ended_well, format!("stopped for {pause:?}, {count} times"));
        }
        std::thread::sleep(pause);
        // SAFETY: sends a signal to a child of ours.
        unsafe { libc::kill(child, libc::SIGCONT) };
    }
}

fn be_stopped(common: &Common, count: u32, moment: Moment) -> Result<String> {
    const PATHS: u8 = 10;
    let mut states = BTreeMap::<c_int, u32>::new();
    let mut paths = Vec::new();
    for number in 0..PATHS {
        let mut path = Path::new(common, Behind::Slow, 10 + number)?;
        if !path.init(path.limit(1))? {
            return Err(broken("init failed"));
        }
        paths.push(path);
    }
    for _ in 0..count {
        let mut first = Vec::new();
        for path in &mut paths {
            first.push(path.check()?);
        }
        if moment == Moment::Answered {
            // Ten commands of 50 ms, on a machine that is busy.
            std::thread::sleep(Duration::from_millis(400));
        }
        // SAFETY: stops this process, all threads of it.
        unsafe { libc::kill(libc::getpid(), libc::SIGSTOP) };
        for (path, mut state) in paths.iter_mut().zip(first) {
            let end = Instant::now() + SOON;
            while state == PENDING && Instant::now() < end {
                state = path.collect()?;
                std::thread::sleep(Duration::from_micros(200));
            }
            *states.entry(state).or_default() += 1;
        }
    }
    for path in &mut paths {
        path.free()?;
    }
    all_were(
        states.len() == 1 && states.contains_key(&UP),
        format!("verdicts by state: {states:?}"),
    )
}

unsafe extern "C-unwind" {
    /// POSIX: where a thread that is cancelled ends.
    fn pthread_testcancel();
}

unsafe extern "C" {
    fn pthread_cancel(thread: libc::pthread_t) -> c_int;
}

/// What a thread that is cancelled works on.
struct Victim<'a> {
    path: Path<'a>,
    calls: AtomicU64,
}

/// Checks until it is cancelled. Nothing here has a destructor: a cancelled thread is unwound.
extern "C-unwind" fn check_until_cancelled(victim: *mut c_void) -> *mut c_void {
    let victim = victim.cast::<Victim<'_>>();
    loop {
        // SAFETY: no other thread uses it before this one has ended.
        unsafe {
            (*victim).path.call_bare();
            (*victim).calls.fetch_add(1, SeqCst);
            pthread_testcancel();
        }
    }
}

/// Threads of the host are cancelled, wherever they are.
fn cancel(common: &Common, count: u32) -> Result<String> {
    type Start = extern "C" fn(*mut c_void) -> *mut c_void;
    let mut calls = 0;
    for round in 0..count {
        let behind = if round % 4 == 3 {
            Behind::Slow
        } else {
            Behind::Up
        };
        let mut path = Path::new(common, behind, 10)?;
        if !path.init(LIMIT)? {
            return Err(broken("init failed"));
        }
        let mut victim = Victim {
            path,
            calls: AtomicU64::new(0),
        };
        let place = &raw mut victim;
        let mut thread: libc::pthread_t = 0;
        // SAFETY: the types differ in what may happen on unwinding, which is the C library's; the
        // victim outlives the thread, which is waited for.
        unsafe {
            let start = check_until_cancelled as extern "C-unwind" fn(*mut c_void) -> *mut c_void;
            let start = std::mem::transmute::<
                extern "C-unwind" fn(*mut c_void) -> *mut c_void,
                Start,
            >(start);
            let code = libc::pthread_create(&raw mut thread, std::ptr::null(), start, place.cast());
            if code != 0 {
                return Err(std::io::Error::from_raw_os_error(code)).doing("pthread_create");
            }
            std::thread::sleep(Duration::from_micros(u64::from(round % 50) * 20));
            pthread_cancel(thread);
            libc::pthread_join(thread, std::ptr::null_mut());
        }
        calls += victim.calls.load(SeqCst);
        // The thread may have left a check behind.
        let mut state = victim.path.collect()?;
        if state != UP {
            state = victim.path.verdict(SOON)?;
        }
        is_up(state)?;
        victim.path.free()?;
    }
    Ok(format!(
        "{count} threads cancelled after {calls} calls, every path is up"
    ))
}

/// Many paths, of which one hangs, for `count` rounds: for odd surroundings.
fn crowd(common: &Common, count: u32) -> Result<String> {
    let kinds = [
        Behind::Hangs,
        Behind::Up,
        Behind::Slow,
        Behind::Up,
        Behind::Deferred,
        Behind::Up,
        Behind::Up,
        Behind::Up,
    ];
    let mut paths = Vec::new();
    for (number, behind) in (10..).zip(kinds) {
        let mut path = Path::new(common, behind, number)?;
        if !path.init(LIMIT)? {
            return Err(broken("init failed"));
        }
        paths.push(path);
    }
    for _ in 0..count {
        for path in &mut paths {
            path.feed_if(Behind::Deferred);
            match (path.hangs(), path.check()?) {
                (_, PENDING) | (false, UP) => {}
                (hangs, state) => {
                    return Err(Trouble::Broken(format!("state {state}, hangs: {hangs}")));
                }
            }
        }
        for path in &mut paths {
            let end = Instant::now() + SOON;
            while !path.hangs() && path.collect()? != UP {
                if Instant::now() > end {
                    return Err(broken("a path whose device answers is not up"));
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }
    for path in &mut paths {
        path.heal()?;
        is_up(path.verdict(SOON)?)?;
        path.free()?;
    }
    rest(common)?;
    Ok(format!("{count} rounds of {} paths, one hung", kinds.len()))
}

/// Paths come and go while another hangs and no thread is to be had: nothing may grow.
fn no_thread(common: &Common, count: u32) -> Result<String> {
    let mut hung = Path::new(common, Behind::Hangs, 10)?;
    if !hung.init(LIMIT)? || hung.check()? != PENDING {
        return Err(broken("a path that hangs is not pending"));
    }
    hung.until_it_hangs()?;
    faults::refuse(&[Resource::Threads], 1, true);
    let mut heap = 0;
    for round in 0..count {
        if round == count / 2 {
            heap = faults::heap();
        }
        let mut path = Path::new(common, Behind::Deferred, 11)?;
        if !path.init(LIMIT)? {
            return Err(broken("init failed"));
        }
        path.check()?;
        path.free()?;
    }
    let grown = faults::heap() - heap;
    faults::relent();
    is_up(life(common, Behind::Deferred, 12)?)?;
    hung.heal()?;
    is_up(hung.verdict(SOON)?)?;
    hung.free()?;
    rest(common)?;
    let lives = count - count / 2;
    all_were(
        grown < i64::from(lives),
        format!("{grown} bytes of heap more after {lives} further lives"),
    )
}

/// Waits until no thread and no AIO context is left of the plugin's.
fn rest(common: &Common) -> Result<()> {
    let end = Instant::now() + SOON;
    while threads::alive() + usage::aio_contexts() > 1 {
        faults::inside(|| common.plugin.reset());
        if Instant::now() > end {
            return Err(Trouble::Broken(format!(
                "left behind: {} threads, {} AIO contexts",
                threads::alive() - 1,
                usage::aio_contexts()
            )));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn is_up(state: c_int) -> Result<()> {
    all_were(state == UP, format!("state {state}")).map(drop)
}

fn all_were(well: bool, text: String) -> Result<String> {
    if well {
        Ok(text)
    } else {
        Err(Trouble::Broken(text))
    }
}
