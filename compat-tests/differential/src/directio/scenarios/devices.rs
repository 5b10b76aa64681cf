// SPDX-License-Identifier: LGPL-2.0-or-later

//! Devices and files that answer: block sizes, file systems, sizes.

use super::prelude::*;

pub(super) const SCENARIOS: &[Scenario] = scenarios! {
    Both "loop-512" "logical blocks of 512 bytes, read by 512" => |d| soft_device(d, 1 << 20, 512, 512);
    Both "loop-512-by-1024" "logical blocks of 512 bytes, read by 1024" => |d| soft_device(d, 1 << 20, 512, 1024);
    Both "loop-512-by-4096" "logical blocks of 512 bytes, read by 4096" => |d| soft_device(d, 1 << 20, 512, 4096);
    Both "loop-512-by-65536" "block sizes above 4096 count as 4096" => |d| soft_device(d, 1 << 20, 512, 65536);
    Both "loop-1024" "logical blocks of 1024 bytes" => |d| soft_device(d, 1 << 20, 1024, 1024);
    Both "loop-2048" "logical blocks of 2048 bytes" => |d| soft_device(d, 1 << 20, 2048, 2048);
    Both "loop-4096" "logical blocks of 4096 bytes" => |d| soft_device(d, 1 << 20, 4096, 4096);
    Both "loop-4096-by-8192" "the same, read by more than 4096" => |d| soft_device(d, 1 << 20, 4096, 8192);
    Both "loop-8192" "logical blocks of 8192 bytes: more than upstream reads" => |d| large(d, 8192, 8192);
    Both "loop-8192-by-4096" "the same, with a page cache that has not noticed" => |d| large(d, 8192, 0);
    Both "loop-16384" "logical blocks of 16384 bytes" => |d| large(d, 16384, 16384);
    Both "loop-32768" "logical blocks of 32768 bytes" => |d| large(d, 32768, 32768);
    Both "loop-65536" "logical blocks of 65536 bytes" => |d| large(d, 65536, 65536);
    Both "loop-one-block" "a device of one block" => |d| soft_device(d, 512, 512, 512);
    Both "loop-too-small" "a device smaller than what is read" => |d| {
            let path = d.loop_device(1536, Shape::new(512).soft(4096))?;
            let fd = d.open(&path, libc::O_RDONLY)?;
            checked(d, fd, DOWN)
        };
    Both "loop-size-0" "a device of size 0" => size_0;
    Both "loop-read-only" "a read-only device" => |d| {
        let path = d.loop_device(1 << 20, Shape::new(512).read_only())?;
        let fd = d.open(&path, libc::O_RDONLY)?;
        checked(d, fd, UP)
    };
    Both "open-read-write" "a descriptor opened for reading and writing" => |d| {
        let fd = d.open_loop_device(libc::O_RDWR)?;
        checked(d, fd, UP)
    };
    Both "open-write-only" "a descriptor that cannot be read" => write_only;
    Both "file-disk" "a file on the machine's disk" => |d| file(d, FileSystem::Disk, true);
    Both "file-ext4" "a file on ext4" => |d| file(d, FileSystem::Ext4, true);
    Both "file-xfs" "a file on xfs" => |d| file(d, FileSystem::Xfs, true);
    Both "file-tmpfs" "a file on tmpfs, which has O_DIRECT since 6.6" => file_tmpfs;
    Both "file-ramfs" "a file on ramfs, which has no O_DIRECT" => |d| file(d, FileSystem::Ramfs, false);
    Both "file-empty" "an empty file" => |d| sized_file(d, 0, DOWN);
    Both "file-short" "a file shorter than a block" => |d| sized_file(d, 100, DOWN);
    Both "file-odd" "a file whose size is no multiple of a block" => |d| sized_file(d, 5000, UP);
    Both "many-checks" "a hundred checks in a row" => many_checks;
};

/// Checks a descriptor asynchronously and synchronously, twice each.
fn checked(d: &mut Driver, fd: RawFd, state: State) -> Result<()> {
    let (id, seen) = d.init(fd, 30)?;
    seen.returned(Returned::Ok)
        .flags(libc::O_DIRECT)
        .context(true);
    for sync in [false, false, true, true, false] {
        d.sync(sync);
        d.verdict(id)?.is(state).flags(libc::O_DIRECT);
    }
    d.free(id)?.freed().contexts(1);
    Ok(())
}

/// A device that is read by `soft` bytes, or by 4096 where that is more.
fn soft_device(d: &mut Driver, bytes: u64, block: u32, soft: u32) -> Result<()> {
    let path = d.loop_device(bytes, Shape::new(block).soft(soft))?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let (id, seen) = d.init(fd, 30)?;
    seen.returned(Returned::Ok).msgid(0).flags(libc::O_DIRECT);
    for sync in [false, true, false] {
        d.sync(sync);
        d.verdict(id)?
            .is(UP)
            .flags(libc::O_DIRECT)
            .line(&format!("directio: io finished {}/0", soft.min(4096)));
    }
    d.free(id)?.freed().contexts(1);
    Ok(())
}

/// A logical block larger than the 4096 bytes to which upstream limits its read: the kernel
/// refuses the read, and upstream takes a healthy device for a dead one.
fn large(d: &mut Driver, block: u32, soft: u32) -> Result<()> {
    let path = d.loop_device(1 << 20, Shape::new(block).soft(soft))?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    let id = d.started(fd, 30)?;
    for sync in [false, true] {
        d.sync(sync);
        let log = |level, result| Log::called_sync(sync).starts(level).finishes(level, result);
        d.verdict(id)?
            .differs_in_state("L5", DOWN, UP)
            .differs_in_log(
                "L5",
                log(3, -i64::from(libc::EINVAL)),
                log(4, i64::from(block)),
            );
    }
    // free leaves the last message where it is.
    d.free(id)?.differs_in_message("L5", DOWN, UP);
    Ok(())
}

fn size_0(d: &mut Driver) -> Result<()> {
    let path = d.loop_device(0, Shape::new(512))?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    checked(d, fd, DOWN)
}

fn write_only(d: &mut Driver) -> Result<()> {
    let fd = d.open_loop_device(libc::O_WRONLY)?;
    let id = d.started(fd, 30)?;
    for sync in [false, true] {
        d.sync(sync);
        let log = |level, number: i32| {
            let log = Log::called_sync(sync).starts(level);
            log.line(3, &format!("directio: io_submit error {number}"))
        };
        d.check(id)?
            .not_available()
            .differs_in_log("I1", log(3, 0), log(4, libc::EBADF));
    }
    d.free(id)?.flags(0);
    Ok(())
}

fn file(d: &mut Driver, kind: FileSystem, direct: bool) -> Result<()> {
    let path = d.file_on(kind, "file", 1 << 20)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    if direct {
        return checked(d, fd, UP);
    }
    let (id, seen) = d.init(fd, 30)?;
    seen.returned(Returned::Failed).freed();
    d.check(id)?.refused();
    Ok(())
}

fn file_tmpfs(d: &mut Driver) -> Result<()> {
    let path = d.file_on(FileSystem::Tmpfs, "file", 1 << 20)?;
    let direct = d.open(&path, libc::O_RDONLY | libc::O_DIRECT);
    file(d, FileSystem::Tmpfs, direct.is_ok())
}

fn sized_file(d: &mut Driver, bytes: u64, state: State) -> Result<()> {
    let path = d.file_on(FileSystem::Disk, "file", bytes)?;
    let fd = d.open(&path, libc::O_RDONLY)?;
    checked(d, fd, state)
}

fn many_checks(d: &mut Driver) -> Result<()> {
    let fd = d.open_loop_device(libc::O_RDONLY)?;
    let id = d.started(fd, 30)?;
    d.sync(true);
    d.count("100 checks", |d| {
        for _ in 0..100 {
            d.check(id)?;
        }
        Ok(())
    })?
    .all(100, "check", UP);
    d.free(id).map(drop)
}
