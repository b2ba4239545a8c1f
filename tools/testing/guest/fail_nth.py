#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""fail_nth.py load|reset|stats|percpu FILE [MAX]: repeats an operation while the kernel fails
the first step that can fail, then the second, and so on, until nothing fails or MAX is reached.

The operation loads and unloads the module FILE, writes to the file reset, or reads stats or
percpu. Prints one line per repetition: its number; the result ("ok" or the error); whether
something has failed; and what was then wrong, if anything."""

import ctypes
import errno
import os
import sys

SYS_DELETE_MODULE = 176  # x86-64
SYS_FINIT_MODULE = 313
STATS = "/sys/kernel/debug/iptverdict/stats"
LIBC = ctypes.CDLL(None, use_errno=True)
# Initialised, so that its pages are present: only allocations of the kernel are to fail.
BUFFER = ctypes.create_string_buffer(b"1" * 65536)


def stats():
    with open(STATS, encoding="ascii") as file:
        return file.read()


def attempt(what, path, nth, number):
    """Tries the operation once, while step NUMBER fails. Returns the result, the error, and
    whether nothing has failed."""
    fd = os.open(path, os.O_WRONLY if what == "reset" else os.O_RDONLY)
    wanted = str(number).encode()
    os.pwrite(nth, wanted, 0)
    if what == "load":
        result = LIBC.syscall(SYS_FINIT_MODULE, fd, b"", 0)
    elif what == "reset":
        result = LIBC.write(fd, BUFFER, 1)
    else:
        result = LIBC.read(fd, BUFFER, 65536)
    error = ctypes.get_errno()
    left = int(os.pread(nth, 32, 0))
    os.pwrite(nth, b"0", 0)
    os.close(fd)
    return result, error, left != 0


def faults(what, result, before):
    """Returns what is wrong after the operation."""
    if what == "load":
        if result == 0 and LIBC.syscall(SYS_DELETE_MODULE, b"iptverdict", os.O_NONBLOCK) != 0:
            return ["cannot be unloaded"]
        if os.path.exists("/sys/module/iptverdict") or os.path.exists(os.path.dirname(STATS)):
            return ["left"]
    elif what == "reset" and result < 0 and stats() != before:
        return ["changed"]
    return []


def main(what, path, most=1000):
    nth = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
    for number in range(1, int(most) + 1):
        before = stats() if what == "reset" else None
        result, error, done = attempt(what, path, nth, number)
        print(number, "ok" if result >= 0 else errno.errorcode[error],
              "nothing" if done else "something", *faults(what, result, before))
        if done:
            break


main(*sys.argv[1:])
