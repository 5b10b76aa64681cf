//! One scenario on one side: the plugin's host as a scenario sees it.
//!
//! Every call into the plugin becomes a step with the facts that hold afterwards; the runner
//! compares the steps of both sides.

use crate::directio::wire::{Call, Difference, Message, Step, receive, send};
use harness::abi::Abi;
use harness::checker_struct::Checker;
use harness::faults::{Faults, Syscall};
use harness::plugin::Plugin;
use harness::state::State;
use harness::threads;
use harness::{Doing, Result, Trouble, host, rings};
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::{CString, c_int, c_void};
use std::io::BufReader;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Whose plugin is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one of a multipath-tools release.
    C,
    /// Ours.
    Ours,
}

/// One instance of the checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(usize);

/// A file whose reads hang on command; see [`harness::devices::stall`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate(pub u64);

/// What happens during a call, some time after its beginning.
enum Event {
    /// The gate lets its reads go; how they end.
    LetGo(Duration, Gate, String),
    /// This thread gets a signal.
    Interrupt(Duration),
}

/// What a session begins with.
pub struct Setting {
    /// Whose plugin this is.
    pub side: Side,
    /// The ABI of the host.
    pub abi: Abi,
    /// The plugin's file.
    pub plugin: PathBuf,
    /// Where random scenarios begin.
    pub seed: u64,
}

/// Lines of the log with their levels.
type Lines = Vec<(c_int, String)>;

/// What one call into the plugin gave.
struct Called<R> {
    value: R,
    took: Duration,
    hanging: bool,
    wrong: Vec<String>,
}

/// A scenario's view of its host, its plugin and its devices.
pub struct Session {
    setting: Setting,
    plugin: Option<Plugin>,
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    checkers: Vec<Checker>,
    /// What is to happen during the next call.
    armed: Vec<Event>,
    /// The step that is not sent yet, so that a scenario can say more about it.
    step: Option<Step>,
    faults: Option<Faults>,
    /// Whether the numbers of system calls are facts.
    counted: bool,
    /// The gates behind block devices, with the number of reads there were before the scenario's.
    devices: Vec<(Gate, u64)>,
    /// Whether the scenario has files that hang.
    gates: bool,
    sync: bool,
    alone: bool,
    /// Results of calls that are counted instead of listed.
    bulk: Option<BTreeMap<String, usize>>,
    /// What the host of 0.15.0 passes as the second argument of `libcheck_check`.
    map_word: Box<u64>,
    random: u64,
}

/// `PTHREAD_CANCEL_ENABLE`: what every thread begins with.
const CANCEL_ENABLE: c_int = 0;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}

/// Why a [`Checker`] that an [`Id`] names is not there.
fn no_such(id: Id) -> Trouble {
    Trouble::Broken(format!("no instance #{}", id.0))
}

/// How many files are open. Duplicates of a descriptor do not count: ours has one for each read that a
/// worker submits.
fn count_files() -> usize {
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else {
        return 0;
    };
    let names = descriptors.flatten().map(|entry| entry.path().read_link());
    names.flatten().collect::<BTreeSet<_>>().len()
}

/// How long a call took, so coarsely that a busy machine does not change it: what scenarios let
/// happen happens after whole seconds, and can only come late.
fn bucket(took: Duration) -> String {
    match took.as_millis() {
        0..900 => "at once".to_owned(),
        millis => format!("about {} s", (millis + 100) / 1000),
    }
}

/// The file status flags of a descriptor that can be changed.
pub fn flag_names(fd: RawFd) -> String {
    // SAFETY: F_GETFL reads and changes nothing; a bad descriptor is an error.
    let flags = match harness::os(unsafe { libc::fcntl(fd, libc::F_GETFL) }) {
        Ok(flags) => flags,
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => return "not open".to_owned(),
        Err(error) => return error.to_string(),
    };
    let names: Vec<&str> = [
        (libc::O_APPEND, "append"),
        (libc::O_NONBLOCK, "nonblock"),
        (libc::O_DIRECT, "direct"),
        (libc::O_NOATIME, "noatime"),
        (libc::O_ASYNC, "async"),
    ]
    .iter()
    .filter(|(flag, _)| flags & flag != 0)
    .map(|(_, name)| *name)
    .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join("+")
    }
}

/// A log line without what differs from run to run: the number of the device.
fn without_device(line: &str, fd: RawFd) -> String {
    // SAFETY: fstat fills the structure, for which any bytes are valid; a bad descriptor is an error.
    let (status, device) = unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        let result = libc::fstat(fd, &raw mut status);
        (result, status.st_rdev)
    };
    let low = device & u64::from(u32::MAX);
    if status == 0 && line == format!("directio: called for {low:x}") {
        "directio: called for <device>".to_owned()
    } else {
        line.to_owned()
    }
}

/// The step after which what a C plugin does is undefined, the end of its process included.
pub(crate) const NO_FURTHER: &str = "the C plugin is followed no further";

impl Session {
    /// Loads the plugin and begins.
    ///
    /// # Errors
    /// When the plugin cannot be loaded.
    pub fn new(setting: Setting, socket: UnixStream) -> Result<Session> {
        let reader = BufReader::new(socket.try_clone().doing("copying the socket")?);
        let mut session = Session {
            plugin: None,
            reader,
            writer: socket,
            checkers: Vec::new(),
            armed: Vec::new(),
            step: None,
            faults: None,
            counted: false,
            devices: Vec::new(),
            gates: false,
            sync: false,
            alone: false,
            bulk: None,
            map_word: Box::new(u64::MAX),
            random: setting.seed.wrapping_mul(2).wrapping_add(1),
            setting,
        };
        host::set_sync(false);
        session.load()?;
        Ok(session)
    }

    /// Whose plugin this is.
    pub fn side(&self) -> Side {
        self.setting.side
    }

    /// The ABI of the host.
    pub fn abi(&self) -> Abi {
        self.setting.abi
    }

    /// The plugin.
    ///
    /// # Errors
    /// When the scenario has unloaded it.
    pub fn plugin(&self) -> Result<&Plugin> {
        self.plugin
            .as_ref()
            .ok_or_else(|| Trouble::Broken("the plugin is not loaded".to_owned()))
    }

    // --- Devices ---------------------------------------------------------------------------

    /// Asks the lab for something.
    ///
    /// # Errors
    /// What the lab answers.
    pub fn ask(&mut self, words: &[&str]) -> Result<Vec<String>> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.say(&Message::Ask(words))?;
        let answer = receive(&mut self.reader)
            .doing("waiting for the lab")?
            .ok_or_else(|| Trouble::Broken("the runner is gone".to_owned()))?;
        let mut answer = answer.into_iter();
        match answer.next().as_deref() {
            Some("ok") => Ok(answer.collect()),
            Some("not-here") => Err(Trouble::NotHere(answer.collect())),
            _ => Err(Trouble::Broken(answer.collect())),
        }
    }

    fn ask_path(&mut self, words: &[&str]) -> Result<PathBuf> {
        let answer = self.ask(words)?;
        answer
            .first()
            .map(PathBuf::from)
            .ok_or_else(|| Trouble::Broken("the lab gave no path".to_owned()))
    }

    fn ask_number(&mut self, words: &[&str]) -> Result<u64> {
        let answer = self.ask(words)?;
        answer
            .first()
            .and_then(|word| word.parse().ok())
            .ok_or_else(|| Trouble::Broken("the lab gave no number".to_owned()))
    }

    /// A loop device over a file of zeros, with this logical block size.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] when the kernel does not allow it.
    pub fn loop_device(&mut self, bytes: u64, block: u32, read_only: bool) -> Result<PathBuf> {
        let mode = if read_only { "ro" } else { "rw" };
        self.ask_path(&["loop", &bytes.to_string(), &block.to_string(), "0", mode])
    }

    /// A loop device that answers `BLKBSZGET` with `soft` bytes.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] when the kernel does not allow it.
    pub fn soft_device(&mut self, bytes: u64, block: u32, soft: u32) -> Result<PathBuf> {
        let [bytes, block, soft] = [bytes, u64::from(block), u64::from(soft)];
        self.ask_path(&[
            "loop",
            &bytes.to_string(),
            &block.to_string(),
            &soft.to_string(),
            "rw",
        ])
    }

    /// A new file of zeros on a file system of this kind (`disk`, `ext4`, `xfs`, `tmpfs`, `ramfs`).
    ///
    /// # Errors
    /// [`Trouble::NotHere`] when the kernel does not have it.
    pub fn file_on(&mut self, kind: &str, name: &str, bytes: u64) -> Result<PathBuf> {
        let path = self.ask_path(&["file-system", kind])?.join(name);
        let file = std::fs::File::create(&path).doing("making a file")?;
        file.set_len(bytes).doing("sizing a file")?;
        Ok(path)
    }

    /// A file that can hang.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] without FUSE.
    pub fn gate(&mut self, number: u64) -> Result<(Gate, PathBuf)> {
        let path = self.ask_path(&["stall-file", &number.to_string()])?;
        self.gates = true;
        Ok((Gate(number), path))
    }

    /// A block device that can hang. Other programs see it as well and may read it, which
    /// [`Session::end`] notices by comparing the reads with this process's submissions.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] without FUSE or loop devices.
    pub fn gate_device(&mut self, number: u64, block: u32) -> Result<(Gate, PathBuf)> {
        let path = self.ask_path(&["stall-loop", &number.to_string(), &block.to_string()])?;
        self.gates = true;
        self.install_faults()?;
        let gate = Gate(number);
        let before = self.reads(gate)?;
        self.devices.push((gate, before));
        Ok((gate, path))
    }

    /// How many reads of the gate's file there have been.
    fn reads(&mut self, gate: Gate) -> Result<u64> {
        self.ask_number(&["started", &gate.0.to_string()])
    }

    /// How many reads this process has submitted, and how many have come out of the scenario's
    /// block devices.
    fn submitted_and_arrived(&mut self) -> Result<(u64, u64)> {
        let mut arrived = 0;
        for (gate, before) in self.devices.clone() {
            arrived += self.reads(gate)? - before;
        }
        let submitted = self
            .faults
            .as_ref()
            .map_or(0, |faults| faults.count(Syscall::Submit));
        Ok((submitted, arrived))
    }

    /// Whether somebody else has read one of the scenario's block devices.
    fn disturbed(&mut self) -> Result<bool> {
        let (submitted, arrived) = self.submitted_and_arrived()?;
        Ok(!self.devices.is_empty() && arrived > submitted)
    }

    /// Waits until what was submitted has gone through the block layer, for a second at most: a
    /// read that the kernel refused never arrives.
    fn await_arrival(&mut self) -> Result<()> {
        for _ in 0..200 {
            let (submitted, arrived) = self.submitted_and_arrived()?;
            if arrived >= submitted {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// From now on reads of the gate's file wait.
    ///
    /// # Errors
    /// When the lab is gone.
    pub fn hold(&mut self, gate: Gate) -> Result<()> {
        self.ask(&["hold", &gate.0.to_string()]).map(|_| ())
    }

    /// From now on reads of the gate's file that are not held end with `errno`; 0: with data.
    ///
    /// # Errors
    /// When the lab is gone.
    pub fn fail_reads(&mut self, gate: Gate, errno: i32) -> Result<()> {
        self.ask(&["fail", &gate.0.to_string(), &errno.to_string()])
            .map(|_| ())
    }

    /// Ends the oldest `count` reads that wait at the gate and waits until their completions have
    /// reached this process. `how` is `data`, `error:N` or `short:N`.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn answer(&mut self, gate: Gate, count: u64, how: &str) -> Result<()> {
        self.note_in_flight()?;
        let before = rings::look()?.unread;
        let gate = gate.0.to_string();
        let answered = self.ask_number(&["answer", &gate, &count.to_string(), how])?;
        if answered != count {
            return Err(Trouble::Broken(format!(
                "{answered} reads waited at gate {gate} where {count} should"
            )));
        }
        rings::await_unread(before + count)
    }

    /// Ends all reads that wait at the gate, lets later ones pass, and waits until the completions
    /// have reached this process.
    ///
    /// # Errors
    /// When the lab is gone.
    pub fn let_go(&mut self, gate: Gate, how: &str) -> Result<u64> {
        self.note_in_flight()?;
        let before = rings::look()?.unread;
        let count = self.ask_number(&["let-go", &gate.0.to_string(), how])?;
        rings::await_unread(before + count)?;
        Ok(count)
    }

    /// Like [`Session::let_go`], but for reads whose AIO context is being destroyed or whose
    /// completion somebody is waiting for: nobody sees the completions arrive.
    ///
    /// # Errors
    /// When the lab is gone.
    pub fn let_go_unseen(&mut self, gate: Gate, how: &str) -> Result<u64> {
        self.note_in_flight()?;
        self.ask_number(&["let-go", &gate.0.to_string(), how])
    }

    /// Lets the gate's reads go this long after the next call has begun.
    pub fn let_go_later(&mut self, after: Duration, gate: Gate, how: &str) {
        self.armed.push(Event::LetGo(after, gate, how.to_owned()));
    }

    /// How many reads the kernel has not answered.
    ///
    /// # Errors
    /// When the kernel's counters do not agree.
    pub fn waiting(&mut self) -> Result<u64> {
        if !self.gates {
            return Ok(0);
        }
        // Our plugin may have left it to a worker to submit a read.
        threads::rest()?;
        if !self.devices.is_empty() {
            self.await_arrival()?;
        }
        self.ask_number(&["waiting"])
    }

    /// Records as a step of its own how many reads of the gate's file there have been.
    ///
    /// # Errors
    /// When the lab is gone.
    pub fn note_reads(&mut self, gate: Gate, expected: u64) -> Result<()> {
        let reads = self.reads(gate)?;
        self.note(
            &format!("reads of file {} so far", gate.0),
            "reads",
            &reads.to_string(),
        )?;
        self.expect(&[("reads", &expected.to_string())]);
        Ok(())
    }

    /// Makes sure that what is in flight has been looked at, so that no submission is missed.
    fn note_in_flight(&mut self) -> Result<()> {
        self.waiting().map(|_| ())
    }

    /// Opens a file; the descriptor stays open until the process ends or [`Session::close`].
    ///
    /// # Errors
    /// What `open` says.
    pub fn open(&mut self, path: &Path, flags: c_int) -> Result<RawFd> {
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| Trouble::Broken("a path with a NUL".to_owned()))?;
        // SAFETY: `name` is a string.
        harness::os(unsafe { libc::open(name.as_ptr(), flags | libc::O_CLOEXEC) })
            .doing(&format!("opening {}", path.display()))
    }

    /// Closes a descriptor.
    pub fn close(&mut self, fd: RawFd) {
        // SAFETY: scenarios close what they opened; closing it twice is an error without effect, as
        // this process opens nothing in between.
        unsafe { libc::close(fd) };
    }

    // --- The host's side -------------------------------------------------------------------

    /// Sets the class-wide flag behind `checker_is_sync`.
    pub fn sync(&mut self, sync: bool) {
        self.sync = sync;
        host::set_sync(sync);
    }

    /// A `struct checker` with the fields a host sets before `libcheck_init`.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn instance(&mut self, fd: RawFd, timeout: u32) -> Result<Id> {
        let checker = Checker::new(self.setting.abi, host::class(), fd, timeout)?;
        self.checkers.push(checker);
        Ok(Id(self.checkers.len() - 1))
    }

    /// The struct of an instance.
    ///
    /// # Errors
    /// When there is none.
    pub fn checker(&mut self, id: Id) -> Result<&mut Checker> {
        self.checkers.get_mut(id.0).ok_or_else(|| no_such(id))
    }

    /// An instance on which `libcheck_init` has been called, successfully or not.
    ///
    /// # Errors
    /// When the harness fails.
    pub fn started(&mut self, fd: RawFd, timeout: u32) -> Result<Id> {
        let id = self.instance(fd, timeout)?;
        self.init(id)?;
        Ok(id)
    }

    fn load(&mut self) -> Result<()> {
        self.plugin = Some(Plugin::load(&self.setting.plugin, self.setting.abi)?);
        Ok(())
    }

    /// Watches this thread's AIO calls from now on and lets them fail on command.
    ///
    /// # Errors
    /// [`Trouble::NotHere`] where the kernel does not allow it.
    pub fn faults(&mut self) -> Result<Faults> {
        self.counted = true;
        self.install_faults()
    }

    fn install_faults(&mut self) -> Result<Faults> {
        let faults = match self.faults.take() {
            Some(faults) => faults,
            None => Faults::install()?,
        };
        Ok(self.faults.insert(faults).clone())
    }

    /// Makes one call into the plugin, watched from all sides. The call gets the address of the
    /// instance's struct checker (NULL without an instance) and of the map's word; both are what
    /// the functions of [`Plugin`] want.
    fn watch<R>(
        &mut self,
        label: &str,
        id: Option<Id>,
        call: impl FnOnce(&Plugin, *mut c_void, *mut c_void) -> R,
    ) -> Result<Called<R>> {
        let quiet = self.bulk.is_some();
        self.flush()?;
        let mut hanging = false;
        if !quiet {
            hanging = self.waiting()? > 0;
            self.say(&Message::Calling(label.to_owned()))?;
        }
        let map: *mut u64 = &raw mut *self.map_word;
        let target = match id {
            Some(id) => self.checker(id)?.as_ptr(),
            None => std::ptr::null_mut(),
        };
        let files = if quiet { 0 } else { count_files() };
        self.fire()?;
        let plugin = self
            .plugin
            .as_ref()
            .ok_or_else(|| Trouble::Broken("the plugin is not loaded".to_owned()))?;
        // Old releases print errno where they should not; let it be the same everywhere.
        // SAFETY: errno is this thread's own.
        unsafe { *libc::__errno_location() = 0 };
        let begin = Instant::now();
        let value = call(plugin, target, map.cast());
        let took = begin.elapsed();
        let mut wrong = Vec::new();
        let mut cancellation = CANCEL_ENABLE;
        // SAFETY: sets this thread's state to what it was, and reads what the plugin left.
        unsafe { pthread_setcancelstate(CANCEL_ENABLE, &raw mut cancellation) };
        if cancellation != CANCEL_ENABLE {
            wrong.push("the call left thread cancellation disabled".to_owned());
        }
        if !quiet && count_files() != files {
            wrong.push("the call opened or closed a file".to_owned());
        }
        if *self.map_word != u64::MAX {
            wrong.push("the call changed the map's word".to_owned());
            *self.map_word = u64::MAX;
        }
        if let Some(id) = id {
            wrong.extend(self.checker(id)?.harm());
        }
        wrong.extend(host::take_offences());
        Ok(Called {
            value,
            took,
            hanging,
            wrong,
        })
    }

    /// Turns a call into a step, or counts it in bulk.
    fn record<R>(
        &mut self,
        label: String,
        kind: Call,
        id: Option<Id>,
        called: Called<R>,
        returned: &str,
        lines: Lines,
    ) -> Result<()> {
        if let Some(bulk) = &mut self.bulk {
            // In bulk one tally for each kind of call and each result.
            let verb = label.split(' ').next().unwrap_or_default();
            let mut key = format!("{verb} → {returned}");
            for why in called.wrong {
                key.push_str(&format!(" WRONG: {why}"));
            }
            *bulk.entry(key).or_default() += 1;
            return Ok(());
        }
        let mut step = Step {
            label,
            call: kind,
            millis: u64::try_from(called.took.as_millis()).unwrap_or(u64::MAX),
            hanging: called.hanging,
            wrong: called.wrong,
            ..Step::default()
        };
        let mut fact = |name: &str, value: String| step.facts.push((name.to_owned(), value));
        fact("returned", returned.to_owned());
        let mut fd = -1;
        if let Some(id) = id {
            let checker = self.checker(id)?;
            fd = checker.fd();
            let msgid = checker.msgid();
            let context = if checker.context().is_null() {
                "null"
            } else {
                "set"
            };
            fact("msgid", msgid.to_string());
            fact("text", self.plugin()?.message(msgid).to_owned());
            fact("context", context.to_owned());
            fact("flags", flag_names(fd));
        }
        if kind == Call::Free || kind == Call::Reset {
            // A context may be ended by a thread of the plugin's own.
            threads::rest()?;
        }
        fact("contexts", rings::look()?.contexts.to_string());
        if self.gates {
            fact("waiting", self.waiting()?.to_string());
        }
        if let Some(faults) = self.faults.as_ref().filter(|_| self.counted) {
            threads::rest()?;
            for (name, call) in [
                ("io_setup calls", Syscall::Setup),
                ("io_submit calls", Syscall::Submit),
                ("io_destroy calls", Syscall::Destroy),
            ] {
                fact(name, faults.count(call).to_string());
            }
        }
        fact("took", bucket(called.took));
        let lines: Vec<String> = lines
            .iter()
            .map(|(level, line)| format!("{level} {}", without_device(line, fd)))
            .collect();
        fact("log", lines.join("\n"));
        self.put(step)
    }

    /// `libcheck_init` as a host calls it. After a failure the host forgets the struct's contents.
    ///
    /// # Errors
    /// When the harness fails.
    pub fn init(&mut self, id: Id) -> Result<c_int> {
        let label = format!("init #{}", id.0);
        let called = self.watch(&label, Some(id), |plugin, checker, _| {
            // SAFETY: `watch` passes the instance's struct.
            unsafe { plugin.init(checker) }
        })?;
        let value = called.value;
        let returned = if value == 0 { "ok" } else { "failed" };
        let lines = host::take_lines();
        self.record(label, Call::Other, Some(id), called, returned, lines)?;
        let checker = self.checker(id)?;
        if value == 0 {
            checker.set_msgid(0);
        } else {
            checker.clear();
        }
        Ok(value)
    }

    /// `libcheck_check` as `checker_check` calls it.
    ///
    /// # Errors
    /// When the harness fails.
    pub fn check(&mut self, id: Id) -> Result<State> {
        let mode = if self.sync { "sync" } else { "async" };
        let label = format!("check #{} ({mode})", id.0);
        let (called, lines) = self.raw_check(&label, id)?;
        let state = called.value;
        self.record(
            label,
            Call::Other,
            Some(id),
            called,
            &state.to_string(),
            lines,
        )?;
        Ok(state)
    }

    fn raw_check(&mut self, label: &str, id: Id) -> Result<(Called<State>, Lines)> {
        self.checker(id)?.set_msgid(0);
        let called = self.watch(label, Some(id), |plugin, checker, map| {
            // SAFETY: `watch` passes the instance's struct and the map's word.
            unsafe { plugin.check(checker, map) }
        })?;
        self.checker(id)?.set_path_state(called.value);
        Ok((called, host::take_lines()))
    }

    /// `libcheck_pending`, whatever state the host has stored.
    ///
    /// # Errors
    /// When this ABI has no such function.
    pub fn pending(&mut self, id: Id) -> Result<State> {
        let label = format!("pending #{}", id.0);
        let called = self.watch(&label, Some(id), |plugin, checker, map| {
            // SAFETY: `watch` passes the instance's struct and the map's word.
            unsafe { plugin.pending(checker, map) }
        })?;
        let state = called
            .value
            .ok_or_else(|| Trouble::Broken("no libcheck_pending".to_owned()))?;
        self.checker(id)?.set_path_state(state);
        let lines = host::take_lines();
        self.record(
            label,
            Call::Other,
            Some(id),
            called,
            &state.to_string(),
            lines,
        )?;
        Ok(state)
    }

    /// `libcheck_need_wait`.
    ///
    /// # Errors
    /// When this ABI has no such function.
    pub fn need_wait(&mut self, id: Id) -> Result<bool> {
        let label = format!("need_wait #{}", id.0);
        let called = self.watch(&label, Some(id), |plugin, checker, _| {
            // SAFETY: `watch` passes the instance's struct.
            unsafe { plugin.need_wait(checker) }
        })?;
        let yes = called
            .value
            .ok_or_else(|| Trouble::Broken("no libcheck_need_wait".to_owned()))?;
        let lines = host::take_lines();
        self.record(
            label,
            Call::Other,
            Some(id),
            called,
            if yes { "yes" } else { "no" },
            lines,
        )?;
        Ok(yes)
    }

    /// `libcheck_free`, without what the host does to the struct afterwards.
    ///
    /// # Errors
    /// When the harness fails.
    pub fn free(&mut self, id: Id) -> Result<()> {
        let label = format!("free #{}", id.0);
        let called = self.watch(&label, Some(id), |plugin, checker, _| {
            // SAFETY: `watch` passes the instance's struct.
            unsafe { plugin.free(checker) }
        })?;
        let lines = host::take_lines();
        self.record(label, Call::Free, Some(id), called, "nothing", lines)
    }

    /// `libcheck_reset`.
    ///
    /// # Errors
    /// When the harness fails.
    pub fn reset(&mut self) -> Result<()> {
        let called = self.watch("reset", None, |plugin, _, _| plugin.reset())?;
        let lines = host::take_lines();
        self.record(
            "reset".to_owned(),
            Call::Reset,
            None,
            called,
            "nothing",
            lines,
        )
    }

    /// Unloads the plugin as hosts do when its last user is gone (`libcheck_reset`, `dlclose`), and
    /// loads it again.
    ///
    /// # Errors
    /// When it cannot be loaded again.
    pub fn reload(&mut self) -> Result<()> {
        let label = "unload and load".to_owned();
        self.flush()?;
        let hanging = self.waiting()? > 0;
        self.say(&Message::Calling(label.clone()))?;
        let plugin = self
            .plugin
            .take()
            .ok_or_else(|| Trouble::Broken("the plugin is not loaded".to_owned()))?;
        self.fire()?;
        let begin = Instant::now();
        plugin.unload();
        let called = Called {
            value: (),
            took: begin.elapsed(),
            hanging,
            wrong: host::take_offences(),
        };
        self.load()?;
        let lines = host::take_lines();
        self.record(label, Call::Reset, None, called, "nothing", lines)
    }

    /// One tick of the host for one path: `libcheck_check`, and from 0.11.0 on, when that leaves
    /// the verdict open, `libcheck_need_wait`, a wait of 5 ms, `libcheck_pending`.
    ///
    /// # Errors
    /// When the harness fails.
    pub fn tick(&mut self, id: Id) -> Result<State> {
        let state = self.check(id)?;
        if self.setting.abi == Abi::V0_7_9 || state != State::PENDING {
            return Ok(state);
        }
        if self.need_wait(id)? {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.pending(id)
    }

    /// The verdict about a device that answers: as many ticks as it takes, in one step. Whether the
    /// first tick already sees the answer is a matter of microseconds and not compared; that one
    /// request and two ticks are enough is.
    ///
    /// # Errors
    /// When the harness fails.
    pub fn verdict(&mut self, id: Id) -> Result<State> {
        let mode = if self.sync { "sync" } else { "async" };
        let label = format!("verdict #{} ({mode})", id.0);
        let mut lines: Lines = Vec::new();
        let mut ticks = 0;
        let (state, mut called) = loop {
            ticks += 1;
            let (called, new) = self.raw_check(&label, id)?;
            lines.extend(new);
            let mut state = called.value;
            if state == State::PENDING && self.setting.abi != Abi::V0_7_9 {
                self.watch(&label, Some(id), |plugin, checker, _| {
                    // SAFETY: `watch` passes the instance's struct.
                    unsafe { plugin.need_wait(checker) }
                })?;
                std::thread::sleep(Duration::from_millis(5));
                let collected = self.watch(&label, Some(id), |plugin, checker, map| {
                    // SAFETY: `watch` passes the instance's struct and the map's word.
                    unsafe { plugin.pending(checker, map) }
                })?;
                state = collected.value.unwrap_or(state);
                self.checker(id)?.set_path_state(state);
                lines.extend(host::take_lines());
            }
            if state != State::PENDING || ticks > 5 {
                break (state, called);
            }
            rings::await_unread(1)?;
        };
        if ticks > 2 {
            called.wrong.push(format!("it took {ticks} ticks"));
        }
        let mut seen: Lines = Vec::new();
        for (level, line) in lines {
            let again = line.starts_with("directio: called")
                && seen.iter().any(|(_, other)| *other == line);
            if !again && line != "directio: async io pending" {
                seen.push((level, line));
            }
        }
        self.record(
            label,
            Call::Other,
            Some(id),
            called,
            &state.to_string(),
            seen,
        )?;
        Ok(state)
    }

    /// `libcheck_check` on another thread: hosts call from whichever thread holds their lock.
    ///
    /// # Errors
    /// When the harness fails.
    pub fn check_on_thread(&mut self, id: Id) -> Result<State> {
        std::thread::scope(|scope| {
            scope
                .spawn(|| self.check(id))
                .join()
                .unwrap_or_else(|_| Err(Trouble::Broken("a thread panicked".to_owned())))
        })
    }

    /// `libcheck_check` in a child of this process that executes nothing else.
    ///
    /// # Errors
    /// When the child does not answer.
    pub fn check_in_child(&mut self, id: Id) -> Result<()> {
        use std::io::{Read, Write};
        let label = format!("check #{} in a forked child", id.0);
        self.flush()?;
        self.say(&Message::Calling(label.clone()))?;
        let mut ends = [0; 2];
        // SAFETY: pipe fills the array.
        harness::os(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })
            .doing("making a pipe")?;
        // SAFETY: pipe gave both descriptors to us alone.
        let (from, to) = unsafe {
            (
                std::fs::File::from_raw_fd(ends[0]),
                std::fs::File::from_raw_fd(ends[1]),
            )
        };
        let target = self.checker(id)?.as_ptr();
        self.checker(id)?.set_msgid(0);
        let plugin = self.plugin()?;
        // SAFETY: the child uses only what this, the only running thread, may use, and ends.
        let child = harness::os(unsafe { libc::fork() }).doing("forking")?;
        if child == 0 {
            // SAFETY: the child has its own copy of the instance's struct.
            let state = unsafe { plugin.check(target, std::ptr::null_mut()) };
            let lines = host::take_lines();
            let fd = self.checker(id).map_or(-1, |checker| checker.fd());
            let msgid = self.checker(id).map_or(0, |checker| checker.msgid());
            let mut text = format!("{state}\n{msgid}\n");
            for (level, line) in lines {
                text.push_str(&format!("{level} {}\n", without_device(&line, fd)));
            }
            let _ = (&to).write_all(text.as_bytes());
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(0) };
        }
        drop(to);
        let mut text = String::new();
        { from }
            .read_to_string(&mut text)
            .doing("reading from the child")?;
        let mut status = 0;
        // SAFETY: waits for the child just made.
        harness::os(unsafe { libc::waitpid(child, &raw mut status, 0) })
            .doing("waiting for the child")?;
        let mut lines = text.lines();
        let mut next = || lines.next().unwrap_or("nothing").to_owned();
        let facts = vec![
            ("returned".to_owned(), next()),
            ("msgid".to_owned(), next()),
            ("log".to_owned(), lines.collect::<Vec<_>>().join("\n")),
            ("child's end".to_owned(), status.to_string()),
        ];
        self.put(Step {
            label,
            facts,
            ..Step::default()
        })
    }

    /// Sends this thread a signal this long after the next call has begun. Its handler does nothing.
    pub fn interrupt_after(&mut self, after: Duration) {
        self.armed.push(Event::Interrupt(after));
    }

    /// Starts the clocks of what is to happen during a call.
    fn fire(&mut self) -> Result<()> {
        for event in std::mem::take(&mut self.armed) {
            match event {
                Event::LetGo(after, gate, how) => {
                    let millis = after.as_millis().to_string();
                    self.ask(&["let-go-later", &millis, &gate.0.to_string(), &how])?;
                }
                Event::Interrupt(after) => Session::interrupt(after)?,
            }
        }
        Ok(())
    }

    fn interrupt(after: Duration) -> Result<()> {
        extern "C" fn nothing(_: c_int) {}
        // SAFETY: the handler does nothing, which is safe at any time; the mask is empty.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as *const () as usize;
            harness::os(libc::sigaction(
                libc::SIGUSR1,
                &raw const action,
                std::ptr::null_mut(),
            ))
            .doing("installing a signal handler")?;
        }
        // SAFETY: both only ask for numbers.
        let (process, thread) = unsafe { (libc::getpid(), libc::gettid()) };
        std::thread::spawn(move || {
            std::thread::sleep(after);
            // SAFETY: the signal has a handler, and its thread lives as long as the process.
            unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) };
        });
        Ok(())
    }

    // --- What the scenario says of its steps ------------------------------------------------

    /// Counts the results of the calls made by `work` in one step, instead of listing them.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn bulk(
        &mut self,
        label: &str,
        work: impl FnOnce(&mut Session) -> Result<()>,
    ) -> Result<()> {
        self.flush()?;
        let hanging = self.waiting()? > 0;
        self.say(&Message::Calling(label.to_owned()))?;
        let files = count_files();
        self.bulk = Some(BTreeMap::new());
        let begin = Instant::now();
        let done = work(self);
        let took = begin.elapsed();
        let tally = self.bulk.take().unwrap_or_default();
        done?;
        host::take_lines();
        let wrong: Vec<String> = tally
            .keys()
            .filter(|key| key.contains("WRONG"))
            .cloned()
            .collect();
        let results: Vec<String> = tally
            .into_iter()
            .map(|(key, count)| format!("{count} × {key}"))
            .collect();
        let mut facts = vec![
            ("results".to_owned(), results.join(", ")),
            ("contexts".to_owned(), rings::look()?.contexts.to_string()),
            (
                "files".to_owned(),
                count_files().wrapping_sub(files).to_string(),
            ),
        ];
        if self.gates {
            facts.push(("waiting".to_owned(), self.waiting()?.to_string()));
        }
        self.put(Step {
            label: label.to_owned(),
            millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            hanging,
            facts,
            wrong,
            ..Step::default()
        })
    }

    /// A step that only records one fact.
    ///
    /// # Errors
    /// When the runner is gone.
    pub fn note(&mut self, label: &str, name: &str, value: &str) -> Result<()> {
        self.put(Step {
            label: label.to_owned(),
            facts: vec![(name.to_owned(), value.to_owned())],
            ..Step::default()
        })
    }

    /// Says what the last step must have shown, on either side.
    pub fn expect(&mut self, facts: &[(&str, &str)]) {
        if let Some(step) = &mut self.step {
            for (name, value) in facts {
                let seen = step.fact(name).unwrap_or("not recorded").to_owned();
                if seen != *value {
                    step.wrong
                        .push(format!("{name}: {value:?} expected, {seen:?} seen"));
                }
            }
        }
    }

    /// Says that a line was logged in the last step, whatever its level. In a host without `dlog`
    /// there is nothing to see.
    pub fn expect_line(&mut self, line: &str) {
        if !host::visible().contains(&"dlog") {
            return;
        }
        if let Some(step) = &mut self.step {
            let log = step.fact("log").unwrap_or_default();
            if !log.lines().any(|one| one.get(2..) == Some(line)) {
                let why = format!("the line {line:?} is missing");
                step.wrong.push(why);
            }
        }
    }

    /// Says that a fact of the last step differs, and how: the ledger's row `row` allows it.
    pub fn differs(&mut self, row: &str, fact: &str, c: &str, ours: &str) {
        let [row, fact, c, ours] = [row, fact, c, ours].map(str::to_owned);
        if let Some(step) = &mut self.step {
            step.differences.push(Difference { row, fact, c, ours });
        }
    }

    /// [`Session::differs`] of the log, where the host has one.
    pub fn differs_log(&mut self, row: &str, c: &str, ours: &str) {
        if host::visible().contains(&"dlog") {
            self.differs(row, "log", c, ours);
        }
    }

    /// From here on the C plugin's behaviour is undefined. Says whether the scenario ends, which it
    /// does on that side.
    ///
    /// # Errors
    /// When the runner is gone.
    pub fn c_ends(&mut self, why: &str) -> Result<bool> {
        self.note(NO_FURTHER, "because", why)?;
        self.flush()?;
        self.alone = true;
        Ok(self.setting.side == Side::C)
    }

    /// A number below `bound` that depends on the seed alone.
    pub fn random(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    fn put(&mut self, mut step: Step) -> Result<()> {
        self.flush()?;
        step.alone = self.alone;
        self.step = Some(step);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        match self.step.take() {
            Some(step) => self.say(&Message::Step(Box::new(step))),
            None => Ok(()),
        }
    }

    fn say(&mut self, message: &Message) -> Result<()> {
        send(&mut self.writer, &message.fields()).doing("speaking to the runner")
    }

    /// Ends the session: sends the last step and how the scenario came out.
    ///
    /// # Errors
    /// When the runner is gone.
    pub fn end(mut self, outcome: &Result<()>) -> Result<()> {
        self.flush()?;
        if self.disturbed()? {
            return self.say(&Message::Disturbed);
        }
        self.say(&match outcome {
            Ok(()) => Message::Done,
            Err(Trouble::Disturbed) => Message::Disturbed,
            Err(Trouble::NotHere(why)) => Message::NotHere(why.clone()),
            Err(Trouble::Broken(why)) => Message::Broken(why.clone()),
        })
    }
}

/// The socket that the runner gave this process in the place of its standard input.
///
/// # Errors
/// When it is none.
pub fn socket() -> Result<UnixStream> {
    // SAFETY: duplicates a descriptor of this process.
    let copy = harness::os(unsafe { libc::dup(std::io::stdin().as_raw_fd()) })
        .doing("taking the socket")?;
    // SAFETY: dup gave this descriptor to us alone.
    Ok(UnixStream::from(unsafe { OwnedFd::from_raw_fd(copy) }))
}
