#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Maps offsets to rules while the filter table of this network namespace is replaced.

Each rule matches one port and has this port in its comment; the length of a packet tells its
port. Snapshots of the table are taken all the time. A snapshot is believed for a ruleset if an
event of this ruleset was received before it, and another one was recorded after it.

Prints the numbers of rulesets in the events, of events with a rule, of those whose ruleset has a
snapshot, of wrong rules among them, and of wrong rules if a snapshot were believed until the
next one."""

import argparse
import collections
import pathlib
import os
import random
import re
import subprocess
import sys
import threading
import time

sys.path.append(os.environ["SELFTESTS"])
import ruleset  # pylint: disable=import-error,wrong-import-position

INSTANCE = pathlib.Path("/sys/kernel/tracing/instances/snapshots")
PORTS = range(1001, 1017)
# The sender's payload for port 1001 has 101 bytes, and so on.
PORT_OF_LEN_0 = 1001 - 101 - 28

EVENT = re.compile(r" (\d+\.\d+): ipt_verdict: .* rule=(\S+) ruleset=(\d+) .* len=(\d+) ")
# What this writes into the trace after each snapshot: the clock is that of the events.
MARK = re.compile(r" (\d+\.\d+): tracing_mark_write: snapshot (\d+)")
# The trace prints microseconds.
ROUNDING = 1e-6

Event = collections.namedtuple("Event", "time ruleset rule port")
# known: the newest ruleset in the events that were received before.
Snapshot = collections.namedtuple("Snapshot", "known rules")


def random_table():
    """Returns a table for iptables-restore: some ports, in any order and at any offset."""
    lines = ["*filter", ":FORWARD ACCEPT"]
    lines += [f"-A FORWARD -s 192.0.2.{i} -j ACCEPT" for i in range(random.randrange(8))]
    lines += [f"-A FORWARD -p udp --dport {port} -m comment --comment {port} -j ACCEPT"
              for port in random.sample(PORTS, 12)]
    return "\n".join(lines + ["COMMIT", ""])


def replace(number):
    """Replaces the table this many times, for some milliseconds each."""
    with subprocess.Popen(["iptables-legacy-restore", "-w"], stdin=subprocess.PIPE,
                          text=True) as restore:
        for _ in range(number):
            restore.stdin.write(random_table())
            restore.stdin.flush()
            time.sleep(random.uniform(0, 0.04))
        restore.stdin.close()
        if restore.wait():
            sys.exit("iptverdict: snapshots.py: iptables-legacy-restore failed")


def read_trace(lines):
    """Appends the lines of the trace to a list as they are recorded; does not return."""
    with open(INSTANCE / "trace_pipe", encoding="ascii") as pipe:
        for line in pipe:
            lines.append(line)


def events_in(lines):
    """Returns the events in lines of the trace."""
    return [Event(float(match[1]), int(match[3]), int(match[2]), int(match[4]) + PORT_OF_LEN_0)
            for match in filter(None, map(EVENT.search, lines))]


def follow(number):
    """Replaces the table, and returns the events, the snapshots, and the time of each."""
    lines, snapshots, times = [], [], {}
    threading.Thread(target=read_trace, args=[lines], daemon=True).start()
    replacer = threading.Thread(target=replace, args=[number])
    replacer.start()
    known, seen = 0, 0
    while replacer.is_alive():
        received = lines[seen:]
        seen += len(received)
        known = max([known, *(event.ruleset for event in events_in(received))])
        rules = {offset: (place, comment) for offset, _, place, _, comment in
                 ruleset.entries("filter", ruleset.BLOBS["ipv4"])}
        (INSTANCE / "trace_marker").write_text(f"snapshot {len(snapshots)}", encoding="ascii")
        snapshots.append(Snapshot(known, rules))
    replacer.join()
    while len(times) < len(snapshots):
        time.sleep(0.1)
        times = {int(match[2]): float(match[1])
                 for match in filter(None, map(MARK.search, list(lines)))}
    return events_in(list(lines)), snapshots, [times[i] for i in range(len(snapshots))]


def is_wrong(event, rules):
    """Returns whether these rules have another rule at the offset than the packet's."""
    place, comment = rules.get(event.rule, (None, None))
    if place == "policy":
        return str(event.port) in (comment for _, comment in rules.values())
    return comment != str(event.port)


def main():
    """Prints the result of a number of replacements."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("replacements", type=int)
    args = parser.parse_args()
    events, snapshots, ends = follow(args.replacements)

    last = {}
    for event in events:
        last[event.ruleset] = max(event.time, last.get(event.ruleset, 0))
    believed = {snapshot.known: snapshot.rules for snapshot, end in zip(snapshots, ends)
                if last.get(snapshot.known, 0) > end + ROUNDING}

    with_rule = [event for event in events if event.rule >= 0]
    resolved = [event for event in with_rule if event.ruleset in believed]
    wrong = sum(is_wrong(event, believed[event.ruleset]) for event in resolved)
    naive, at = 0, 0
    for event in sorted(with_rule):
        while at + 1 < len(snapshots) and ends[at + 1] < event.time:
            at += 1
        naive += is_wrong(event, snapshots[at].rules)
    print(len(last), len(with_rule), len(resolved), wrong, naive)


if __name__ == "__main__":
    main()
