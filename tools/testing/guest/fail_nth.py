#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""fail_nth.py load|reset|stats|percpu FILE [MAX]: loads and unloads the module, writes to
or reads the file, again and again, while the kernel lets the first of what can fail do so,
then the second, until nothing has failed. Prints a line for each: its number, what came of
it (ok or the error), whether something has failed, and what was then not as it should be."""

import ctypes
import errno
import os
import sys

SYS_DELETE_MODULE = 176  # x86-64
SYS_FINIT_MODULE = 313
STATS = "/sys/kernel/debug/iptverdict/stats"

what, path = sys.argv[1], sys.argv[2]
most = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
libc = ctypes.CDLL(None, use_errno=True)
nth = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
# Written to before: it is the kernel's memory that is to fail, not ours.
buffer = ctypes.create_string_buffer(b"1" * 65536)


def stats():
    with open(STATS, encoding="ascii") as file:
        return file.read()


for number in range(1, most + 1):
    fd = os.open(path, os.O_WRONLY if what == "reset" else os.O_RDONLY)
    before = stats() if what == "reset" else None
    wanted = str(number).encode()
    os.pwrite(nth, wanted, 0)
    if what == "load":
        result = libc.syscall(SYS_FINIT_MODULE, fd, b"", 0)
    elif what == "reset":
        result = libc.write(fd, buffer, 1)
    else:
        result = libc.read(fd, buffer, 65536)
    error = ctypes.get_errno()
    left = int(os.pread(nth, 32, 0))
    os.pwrite(nth, b"0", 0)
    os.close(fd)

    wrong = []
    if what == "load":
        if result == 0 and libc.syscall(SYS_DELETE_MODULE, b"iptverdict", os.O_NONBLOCK) != 0:
            wrong = ["cannot be unloaded"]
        elif os.path.exists("/sys/module/iptverdict") or os.path.exists(os.path.dirname(STATS)):
            wrong = ["left"]
    elif what == "reset" and result < 0 and stats() != before:
        wrong = ["changed"]
    print(number, "ok" if result >= 0 else errno.errorcode[error],
          "nothing" if left else "something", *wrong)
    if left:
        break
