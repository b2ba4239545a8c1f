#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A second opinion on rules and verdicts, from what iptables itself says.

  iptables-save -c | ruleset.py verdicts
      packets and bytes by table, chain and verdict, from the counters of rules
      and policies, in the form of the stats file; several rulesets add up

  ruleset.py blob TABLE
      the entries of a table as IPT_SO_GET_ENTRIES returns them, a line each:
      offset, chain, number of the rule in its chain or policy, target, comment
"""

import collections
import ctypes
import socket
import struct
import sys

TABLES = ["raw", "mangle", "nat", "filter", "security"]
HOOKS = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]
VERDICTS = ["DROP", "ACCEPT", "STOLEN", "QUEUE", "REPEAT", "STOP", "OTHER"]

# Targets that end the walk, and how.
VERDICT_OF = {
    "ACCEPT": "ACCEPT",
    "DROP": "DROP",
    "REJECT": "DROP",
    "QUEUE": "QUEUE",
    "NFQUEUE": "QUEUE",
    "DNAT": "ACCEPT",
    "SNAT": "ACCEPT",
    "MASQUERADE": "ACCEPT",
    "REDIRECT": "ACCEPT",
}
# Targets after which the walk goes on.
CONTINUE = {"RETURN", "MARK", "CONNMARK", "CT", "TEE", "TRACE", "LOG", "NFLOG"}


def parse_counters(word):
    return tuple(int(number) for number in word.strip("[]").split(":"))


def verdicts(lines):
    """Adds up the counters of everything that decides."""
    total = collections.Counter()

    def count(table, hook, verdict, packets, size):
        total[table, hook, verdict, "packets"] += packets
        total[table, hook, verdict, "bytes"] += size

    def add(table, policies, rules):
        users = collections.defaultdict(set)

        def walk(hook, chain):
            if hook in users[chain]:
                return
            users[chain].add(hook)
            for target, packets, size in rules[chain]:
                if target in rules:
                    walk(hook, target)
                elif target in VERDICT_OF:
                    count(table, hook, VERDICT_OF[target], packets, size)
                elif target and target not in CONTINUE:
                    sys.exit(f"ruleset.py: does not know the target {target}")

        for hook, (policy, packets, size) in policies.items():
            count(table, hook, policy, packets, size)
            walk(hook, hook)
        for chain, hooks in users.items():
            if len(hooks) > 1:
                sys.exit(f"ruleset.py: {chain} is used at {hooks}: where did it count?")

    table, policies, rules = None, {}, {}
    for line in lines:
        words = line.split()
        if line.startswith("*"):
            table, policies, rules = line[1:].strip(), {}, {}
        elif line.startswith(":"):
            chain, policy, counters = words[0][1:], words[1], parse_counters(words[2])
            rules[chain] = []
            if policy != "-":
                policies[chain] = (policy, *counters)
        elif line.startswith("["):
            packets, size = parse_counters(words[0])
            jumps = [words[i + 1] for i, word in enumerate(words) if word in ("-j", "-g")]
            rules[words[2]].append((jumps[0] if jumps else None, packets, size))
        elif line.startswith("COMMIT"):
            add(table, policies, rules)

    print("table chain verdict packets bytes")
    for table in TABLES:
        for hook in HOOKS:
            for verdict in VERDICTS:
                packets = total[table, hook, verdict, "packets"]
                if packets:
                    size = total[table, hook, verdict, "bytes"]
                    print(table, hook, verdict, packets, size)


def sockopt(option, value):
    """getsockopt() with a value that goes both ways."""
    libc = ctypes.CDLL(None, use_errno=True)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        buffer = ctypes.create_string_buffer(value, len(value))
        size = ctypes.c_uint32(len(value))
        if libc.getsockopt(raw.fileno(), socket.IPPROTO_IP, option, buffer, ctypes.byref(size)):
            sys.exit(f"ruleset.py: getsockopt({option}): errno {ctypes.get_errno()}")
        return buffer.raw


def blob(table):
    """Prints the entries of a table, by the structs of <linux/netfilter_ipv4/ip_tables.h>."""
    info = struct.Struct("32sI5I5III")
    fields = info.unpack(sockopt(64, table.encode().ljust(info.size, b"\0")))
    valid, starts, ends, size = fields[1], fields[2:7], fields[7:12], fields[13]
    entries = sockopt(65, struct.pack("32sI4x", table.encode(), size) + bytes(size))[40:]

    chain_at = {starts[hook]: HOOKS[hook] for hook in range(5) if valid & 1 << hook}
    policy_at = {ends[hook] for hook in range(5) if valid & 1 << hook}
    chain, number, offset = None, 0, 0
    while offset < size:
        target_offset, next_offset = struct.unpack_from("HH", entries, offset + 88)
        if offset in chain_at:
            chain, number = chain_at[offset], 0

        comment, at = "", offset + 112
        while at < offset + target_offset:
            length, name = struct.unpack_from("H29s", entries, at)
            if name.split(b"\0")[0] == b"comment":
                comment = entries[at + 32:at + length].split(b"\0")[0].decode()
            at += length

        name = entries[offset + target_offset + 2:][:29].split(b"\0")[0].decode()
        if name == "ERROR":
            chain = entries[offset + target_offset + 32:][:30].split(b"\0")[0].decode()
            number = 0
        else:
            number += 1
            place = "policy" if offset in policy_at else number
            print(offset, chain, place, name or "-", comment)
        offset += next_offset


if sys.argv[1:] == ["verdicts"]:
    verdicts(sys.stdin)
elif len(sys.argv) == 3 and sys.argv[1] == "blob":
    blob(sys.argv[2])
else:
    sys.exit(__doc__)
