// SPDX-License-Identifier: LGPL-2.0-or-later

//! The allocator and `mmap`.

use super::faults::{Resource, heap_grows, is_counting, is_refused};
use super::{fail, real, without_memory};
use std::ffi::{c_int, c_void};

unsafe extern "C" {
    // glibc's own names of its allocator, which no object replaces.
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(old: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
    fn __libc_free(memory: *mut c_void);
}

/// What a block takes from the heap.
fn size_of_block(memory: *mut c_void) -> i64 {
    // SAFETY: NULL, or a block of the allocator that has not been freed.
    unsafe { libc::malloc_usable_size(memory) as i64 }
}

fn counted(memory: *mut c_void) -> *mut c_void {
    if is_counting() {
        heap_grows(size_of_block(memory));
    }
    memory
}

/// # Safety
/// As the C library's.
pub unsafe fn malloc(size: usize) -> *mut c_void {
    if is_refused(Resource::Memory) {
        return without_memory();
    }
    // SAFETY: takes any size.
    counted(unsafe { __libc_malloc(size) })
}

/// # Safety
/// As the C library's.
pub unsafe fn calloc(count: usize, size: usize) -> *mut c_void {
    if is_refused(Resource::Memory) {
        return without_memory();
    }
    // SAFETY: takes any sizes.
    counted(unsafe { __libc_calloc(count, size) })
}

/// # Safety
/// As the C library's.
pub unsafe fn realloc(old: *mut c_void, size: usize) -> *mut c_void {
    if is_refused(Resource::Memory) {
        return without_memory();
    }
    let before = if is_counting() { size_of_block(old) } else { 0 };
    // SAFETY: the caller's promise.
    let new = unsafe { __libc_realloc(old, size) };
    if is_counting() && (!new.is_null() || size == 0) {
        heap_grows(size_of_block(new) - before);
    }
    new
}

/// # Safety
/// As the C library's.
pub unsafe fn memalign(alignment: usize, size: usize) -> *mut c_void {
    if is_refused(Resource::Memory) {
        return without_memory();
    }
    // SAFETY: the caller's promise.
    counted(unsafe { __libc_memalign(alignment, size) })
}

/// # Safety
/// As the C library's.
pub unsafe fn posix_memalign(place: *mut *mut c_void, alignment: usize, size: usize) -> c_int {
    // SAFETY: the caller's promise.
    let memory = unsafe { memalign(alignment, size) };
    if memory.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { place.write(memory) };
    0
}

/// # Safety
/// As the C library's.
pub unsafe fn free(memory: *mut c_void) {
    if is_counting() {
        heap_grows(-size_of_block(memory));
    }
    // SAFETY: the caller's promise.
    unsafe { __libc_free(memory) };
}

/// # Safety
/// As the C library's.
pub unsafe fn mmap(
    at: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    if is_refused(Resource::Memory) {
        fail(libc::ENOMEM);
        return libc::MAP_FAILED;
    }
    let real = real!(c"mmap" as fn(*mut c_void, usize, c_int, c_int, c_int, i64) -> *mut c_void);
    // SAFETY: the caller's promise.
    unsafe { real(at, length, protection, flags, fd, offset) }
}
