// SPDX-License-Identifier: GPL-2.0

//! System calls that std does not have.

use std::{
    fs::File,
    io::{Error, Result},
    mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Moves this thread into a network namespace.
pub fn enter_netns(namespace: &File) -> Result<()> {
    // SAFETY: setns() has no memory arguments.
    let failed = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    if failed != 0 {
        return Err(Error::last_os_error());
    }
    Ok(())
}

/// Opens a socket in the network namespace of this thread.
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Result<OwnedFd> {
    // SAFETY: socket() has no memory arguments.
    let fd = unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) };
    if fd < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: `fd` is open, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reads a socket option into `value`, which may also be its argument. Returns the size of what
/// was read.
pub fn getsockopt(socket: &OwnedFd, level: i32, option: i32, value: &mut [u8]) -> Result<usize> {
    let mut size = libc::socklen_t::try_from(value.len())
        .map_err(|_| Error::from_raw_os_error(libc::EMSGSIZE))?;
    // SAFETY: `value` is valid for writes of `size` bytes, and `size` for reads and writes.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value.as_mut_ptr().cast(),
            &mut size,
        )
    };
    if failed != 0 {
        return Err(Error::last_os_error());
    }
    Ok(size as usize)
}

/// Lets a closed pipe end the process, as it does for other programs.
pub fn default_sigpipe() {
    // SAFETY: SIG_DFL runs no code of this process.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// The time of CLOCK_MONOTONIC, in nanoseconds: that of the records.
pub fn monotonic() -> u64 {
    // SAFETY: all bytes of a timespec may be zero.
    let mut now: libc::timespec = unsafe { mem::zeroed() };
    // SAFETY: `now` is valid for writes.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Whether this process may bypass the permissions of root.
pub fn is_root() -> bool {
    // SAFETY: geteuid() has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Types that any bytes are a value of.
///
/// # Safety
///
/// The type is `repr(C)`, and has integers and arrays of them only.
pub unsafe trait Plain: Copy {}

/// Copies a value out of bytes. Returns `None` if there are too few.
pub fn read_plain<T: Plain>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < mem::size_of::<T>() {
        return None;
    }
    // SAFETY: there are as many bytes as the type has, and by the contract of `Plain` any are a
    // value of it. They may be unaligned.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// The bytes of a value.
pub fn plain_bytes<T: Plain>(value: &mut T) -> &mut [u8] {
    // SAFETY: the type has no invalid values by the contract of `Plain`, and the slice borrows
    // the value exclusively.
    unsafe { std::slice::from_raw_parts_mut((value as *mut T).cast(), mem::size_of::<T>()) }
}
