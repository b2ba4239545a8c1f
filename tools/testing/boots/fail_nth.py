#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""fail_nth.py N load|reset|stats|percpu FILE: loads the module, writes to or reads the file,
while the kernel lets the Nth of what can fail do so. Prints what came of it, and whether
anything has failed."""

import ctypes
import errno
import os
import sys

SYS_FINIT_MODULE = 313  # x86-64

number, what, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(path, os.O_WRONLY if what == "reset" else os.O_RDONLY)
# All that the call needs is here before: it is the kernel's memory that is to fail.
buffer = ctypes.create_string_buffer(b"1", 65536)
nth = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
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
success = "loaded" if what == "load" else "done"
print(f"{success if result >= 0 else errno.errorcode[error]}, "
      f"{'nothing' if left else 'something'} failed")
