//! SCSI devices that exist only in this process: they have file descriptors that the kernel never
//! gave out, answer `ioctl` and `fstat` from a script, and write down every command.

use crate::scsi::host;
use std::collections::{HashMap, VecDeque};
use std::ffi::{c_int, c_long, c_ulong, c_void};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// The most sense data that the kernel gives to anybody who asks for 32 bytes.
pub(crate) const SENSE: usize = 32;

const SG_IO: c_ulong = 0x2285;
const CCISS_GETLUNINFO: c_ulong = 0x800c_4211;
const CCISS_PASSTHRU: c_ulong = 0xc058_420b;
/// The size of cciss' request structure.
const CCISS_REQUEST: usize = 88;

/// `struct sg_io_hdr` of <scsi/sg.h>, written down here once more: what the plugins pass is judged by
/// this, not by their own idea of it.
#[repr(C)]
struct SgHeader {
    interface_id: c_int,
    dxfer_direction: c_int,
    cmd_len: u8,
    mx_sb_len: u8,
    iovec_count: u16,
    dxfer_len: u32,
    dxferp: *mut u8,
    cmdp: *const u8,
    sbp: *mut u8,
    timeout: u32,
    flags: u32,
    pack_id: c_int,
    usr_ptr: *mut c_void,
    status: u8,
    masked_status: u8,
    msg_status: u8,
    sb_len_wr: u8,
    host_status: u16,
    driver_status: u16,
    resid: c_int,
    duration: u32,
    info: u32,
}

/// What a device says to a command that it takes. Which fields count depends on the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The SCSI status.
    pub(crate) status: u8,
    /// The host adapter's status.
    pub(crate) host: u16,
    /// The driver's status.
    pub(crate) driver: u16,
    /// The kernel's bits.
    pub(crate) info: u32,
    /// What was not transferred.
    pub(crate) residual: i32,
    /// What is written to the sense buffer.
    pub(crate) sense: [u8; SENSE],
    /// How much of it the kernel says it wrote, which may be a lie.
    pub(crate) sense_length: u8,
    /// The data, of which a shorter buffer gets the beginning.
    pub(crate) data: Vec<u8>,
    /// cciss: the number of the logical volume.
    pub(crate) volume: u32,
    /// cciss: the controller's status.
    pub(crate) command_status: u16,
}

impl Reply {
    /// Success, with nothing else to say.
    pub(crate) const GOOD: Reply = Reply {
        status: 0,
        host: 0,
        driver: 0,
        info: 0,
        residual: 0,
        sense: [0; SENSE],
        sense_length: 0,
        data: Vec::new(),
        volume: 0,
        command_status: 0,
    };

    /// All three statuses are zero when reserved bits are left out.
    pub(crate) fn is_clear(&self) -> bool {
        (self.status & 0x7e, self.host, self.driver) == (0, 0, 0)
    }
}

/// When an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At once.
    AtOnce,
    /// After this time.
    After(Duration),
    /// When the device is [released](Device::release).
    Hung,
}

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// A reply, or the errno with which the command is refused.
    pub(crate) result: Result<Reply, i32>,
    /// When it comes.
    pub(crate) pace: Pace,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Answer {
            result: Ok(reply),
            pace: Pace::AtOnce,
        }
    }
}

impl Answer {
    /// A refusal.
    pub(crate) fn errno(errno: i32) -> Answer {
        Answer {
            result: Err(errno),
            pace: Pace::AtOnce,
        }
    }

    /// The same answer at another time.
    pub(crate) fn at(self, pace: Pace) -> Answer {
        Answer { pace, ..self }
    }
}

/// A command as the kernel would see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// The number of the ioctl request.
    pub(crate) request: c_ulong,
    /// The command descriptor block.
    pub(crate) cdb: Vec<u8>,
    /// Direction of the data, as the header has it.
    pub(crate) direction: c_int,
    /// The transfer length.
    pub(crate) length: u32,
    /// The time limit in milliseconds.
    pub(crate) timeout: u32,
    /// Room for sense data.
    pub(crate) sense_room: u8,
    /// What must be 'S', 0, 0, 0 and NULL: interface, scatter list, flags, pack id and user pointer.
    pub(crate) constants: (c_int, u16, u32, c_int, bool),
    /// Data to the device; of cciss' request the whole structure.
    pub(crate) out: Vec<u8>,
}

impl Sent {
    /// Whether it is one of `libcheck_init`'s: MODE SENSE or MODE SELECT.
    pub(crate) fn is_preparation(&self) -> bool {
        matches!(self.cdb.first(), Some(0x55 | 0x5a))
    }
}

#[derive(Debug, Default)]
struct Script {
    /// Answers to MODE SENSE and MODE SELECT, which only the preparation of a path sends.
    setup: VecDeque<Answer>,
    /// Answers to everything else.
    check: VecDeque<Answer>,
    sent: Vec<Sent>,
    released: bool,
}

/// A device.
#[derive(Debug)]
pub(crate) struct Device {
    /// Its descriptor.
    pub(crate) fd: c_int,
    /// Its number in log lines.
    pub(crate) name: String,
    /// `st_rdev`.
    number: u64,
    /// `st_blksize`.
    preferred: Mutex<i64>,
    script: Mutex<Script>,
    gate: Condvar,
}

/// Every device, by descriptor.
static DEVICES: RwLock<Option<HashMap<c_int, Arc<Device>>>> = RwLock::new(None);

/// The major number of all of them.
const MAJOR: u32 = 8;

/// The descriptor of the device with whose number a log line begins.
pub(crate) fn named_by(line: &str) -> Option<c_int> {
    let (name, _) = line.split_once(" : ")?;
    let devices = unpoisoned(DEVICES.read());
    let mut devices = devices.as_ref()?.values();
    devices.find(|one| one.name == name).map(|one| one.fd)
}

fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

impl Device {
    /// A device with this descriptor, which must be beyond any that the kernel gives out. Once the
    /// script is at its end, every command succeeds.
    pub(crate) fn install(fd: c_int) -> Arc<Device> {
        static NEXT: AtomicU32 = AtomicU32::new(16);
        let minor = NEXT.fetch_add(1, Ordering::Relaxed);
        let device = Arc::new(Device {
            fd,
            name: format!("{MAJOR}:{minor}"),
            number: libc::makedev(MAJOR, minor),
            preferred: Mutex::new(512),
            script: Mutex::default(),
            gate: Condvar::new(),
        });
        unpoisoned(DEVICES.write())
            .get_or_insert_default()
            .insert(fd, Arc::clone(&device));
        device
    }

    /// A further descriptor of the device that has this one, if it is a device.
    fn duplicate(fd: c_int) -> Option<c_int> {
        static NEXT: AtomicI32 = AtomicI32::new(100_000_000);
        let device = Device::find(fd)?;
        let copy = NEXT.fetch_add(1, Ordering::Relaxed);
        unpoisoned(DEVICES.write())
            .get_or_insert_default()
            .insert(copy, device);
        Some(copy)
    }

    /// Closes a descriptor, if it is a device's.
    fn close(fd: c_int) -> bool {
        let mut devices = unpoisoned(DEVICES.write());
        devices
            .as_mut()
            .is_some_and(|all| all.remove(&fd).is_some())
    }

    fn find(fd: c_int) -> Option<Arc<Device>> {
        unpoisoned(DEVICES.read()).as_ref()?.get(&fd).cloned()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        unpoisoned(self.script.lock())
    }

    /// Sets the preferred transfer size.
    pub(crate) fn prefer(&self, size: i64) {
        *unpoisoned(self.preferred.lock()) = size;
    }

    /// What the preparation of the path gets to hear.
    pub(crate) fn answer_setup(&self, answers: &[Answer]) {
        self.script().setup = answers.iter().cloned().collect();
    }

    /// What checks get to hear from now on.
    pub(crate) fn answer(&self, answers: &[Answer]) {
        self.script().check = answers.iter().cloned().collect();
    }

    /// Takes the record of the commands.
    pub(crate) fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.script().sent)
    }

    /// How many commands there were since the record was last taken.
    pub(crate) fn count_all(&self) -> usize {
        self.script().sent.len()
    }

    /// How many of them were of checks.
    pub(crate) fn count(&self) -> usize {
        let script = self.script();
        script
            .sent
            .iter()
            .filter(|sent| !sent.is_preparation())
            .count()
    }

    /// Lets hung commands go, and those to come as well.
    pub(crate) fn release(&self) {
        self.script().released = true;
        self.gate.notify_all();
    }

    /// Writes a command down and says what becomes of it, when it is time.
    fn take(&self, sent: Sent) -> Result<Reply, i32> {
        let mut script = self.script();
        let answer = if sent.is_preparation() {
            script.setup.pop_front()
        } else {
            script.check.pop_front()
        };
        let answer = answer.unwrap_or_else(|| Reply::GOOD.into());
        script.sent.push(sent);
        match answer.pace {
            Pace::AtOnce => {}
            Pace::After(time) => {
                drop(script);
                std::thread::sleep(time);
            }
            Pace::Hung => {
                let released = |script: &mut Script| !script.released;
                drop(unpoisoned(self.gate.wait_while(script, released)));
            }
        }
        answer.result
    }
}

/// `fcntl` as this process has it.
///
/// # Safety
/// As the system's `fcntl`; `argument` must be what `command` needs.
pub(crate) unsafe fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    match command {
        libc::F_DUPFD_CLOEXEC => {
            if let Some(copy) = Device::duplicate(fd) {
                return copy;
            }
        }
        // The standard library sees by this whether a descriptor that it closes is open.
        libc::F_GETFD if Device::find(fd).is_some() => return libc::FD_CLOEXEC,
        _ => {}
    }
    // SAFETY: passed on as it came.
    unsafe { libc::syscall(libc::SYS_fcntl, fd, command, argument) as c_int }
}

/// `close` as this process has it.
///
/// # Safety
/// As the system's `close`.
pub(crate) unsafe fn close(fd: c_int) -> c_int {
    if Device::close(fd) {
        return 0;
    }
    // SAFETY: passed on as it came.
    unsafe { libc::syscall(libc::SYS_close, fd) as c_int }
}

/// `ioctl` as this process has it.
///
/// # Safety
/// As the system's `ioctl`; `argument` must be what `request` needs.
pub(crate) unsafe fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    let Some(device) = Device::find(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { libc::syscall(libc::SYS_ioctl, fd, request, argument) } as c_int;
    };
    host::sends_to(device.fd);
    // SAFETY: the caller's argument fits the request.
    let outcome = uncancelled(|| unsafe {
        match request {
            SG_IO => sg_io(&device, argument.cast()),
            CCISS_GETLUNINFO | CCISS_PASSTHRU => cciss(&device, request, argument.cast()),
            _ => Err(libc::ENOTTY),
        }
    });
    match outcome {
        Ok(()) => 0,
        Err(errno) => {
            // SAFETY: errno's address is valid for the thread.
            unsafe { *libc::__errno_location() = errno };
            -1
        }
    }
}

/// Keeps the thread from being cancelled meanwhile: the system's `ioctl` is no cancellation point, but
/// what stands in for the device's work here may be.
fn uncancelled<R>(work: impl FnOnce() -> R) -> R {
    const DISABLE: c_int = 1;
    let mut before = 0;
    // SAFETY: the pointer is to an int of ours.
    unsafe { pthread_setcancelstate(DISABLE, &raw mut before) };
    let result = work();
    // SAFETY: NULL says that nobody wants to know.
    unsafe { pthread_setcancelstate(before, std::ptr::null_mut()) };
    result
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// # Safety
/// `header` must be a header of an SG_IO request whose pointers fit its lengths.
unsafe fn sg_io(device: &Device, header: *mut SgHeader) -> Result<(), i32> {
    const TO_DEVICE: c_int = -2;
    const FROM_DEVICE: c_int = -3;
    // SAFETY: the caller vouches for the header and for what its pointers lead to; nobody else uses
    // them during the call.
    let header = unsafe { &mut *header };
    // SAFETY: as above.
    let cdb = unsafe { std::slice::from_raw_parts(header.cmdp, usize::from(header.cmd_len)) };
    let length = header.dxfer_len as usize;
    let mut out = Vec::new();
    if header.dxfer_direction == TO_DEVICE {
        // SAFETY: as above.
        out = unsafe { std::slice::from_raw_parts(header.dxferp, length) }.to_vec();
    }
    let reply = device.take(Sent {
        request: SG_IO,
        cdb: cdb.to_vec(),
        direction: header.dxfer_direction,
        length: header.dxfer_len,
        timeout: header.timeout,
        sense_room: header.mx_sb_len,
        constants: (
            header.interface_id,
            header.iovec_count,
            header.flags,
            header.pack_id,
            header.usr_ptr.is_null(),
        ),
        out,
    })?;
    // SAFETY: as above; the copies stay within the lengths that the header gives.
    unsafe {
        if header.dxfer_direction == FROM_DEVICE {
            let data = reply.data.get(..length).unwrap_or(&reply.data);
            header
                .dxferp
                .copy_from_nonoverlapping(data.as_ptr(), data.len());
        }
        let room = usize::from(header.mx_sb_len).min(SENSE);
        if !header.sbp.is_null() {
            header
                .sbp
                .copy_from_nonoverlapping(reply.sense.as_ptr(), room);
        }
    }
    header.status = reply.status;
    header.masked_status = (reply.status >> 1) & 0x1f;
    header.msg_status = 0;
    header.sb_len_wr = reply.sense_length;
    header.host_status = reply.host;
    header.driver_status = reply.driver;
    header.resid = reply.residual;
    header.duration = 1;
    header.info = reply.info;
    Ok(())
}

/// # Safety
/// `argument` must be what the request needs.
unsafe fn cciss(device: &Device, request: c_ulong, argument: *mut u8) -> Result<(), i32> {
    let mut out = Vec::new();
    if request == CCISS_PASSTHRU {
        // SAFETY: the request's structure has this size, and the caller has filled all of it.
        out = unsafe { std::slice::from_raw_parts(argument, CCISS_REQUEST) }.to_vec();
    }
    let reply = device.take(Sent {
        request,
        cdb: Vec::new(),
        direction: 0,
        length: 0,
        timeout: 0,
        sense_room: 0,
        constants: (0, 0, 0, 0, true),
        out,
    })?;
    // SAFETY: both offsets lie in the request's structure.
    unsafe {
        if request == CCISS_PASSTHRU {
            argument.add(28).write(reply.status);
            argument
                .add(30)
                .cast::<u16>()
                .write_unaligned(reply.command_status);
        } else {
            argument.cast::<u32>().write_unaligned(reply.volume);
        }
    }
    Ok(())
}

/// `fstat` as this process has it.
///
/// # Safety
/// As the system's `fstat`.
pub(crate) unsafe fn fstat(fd: c_int, stat: *mut libc::stat) -> c_int {
    let Some(device) = Device::find(fd) else {
        // SAFETY: passed on as it came.
        return unsafe { libc::syscall(libc::SYS_fstat as c_long, fd, stat) } as c_int;
    };
    // SAFETY: the caller's pointer is to a struct stat, for which zeros are valid.
    unsafe {
        stat.write_bytes(0, 1);
        (*stat).st_mode = libc::S_IFBLK;
        (*stat).st_rdev = device.number;
        (*stat).st_blksize = *unpoisoned(device.preferred.lock());
    }
    0
}
