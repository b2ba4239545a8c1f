#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""compare.py NAME STATS COUNTERS BPFTRACE WATCH: compares the counters of the module with those
of the rules and of bpftrace, and its drops with the lines of iptverdict watch. NAME: iptables,
iptables-nft or nftables. Fails if they differ.

The module counts all tables of nftables, also those of iptables-nft, as one table."""

import collections
import re
import sys

VERDICTS = ["DROP", "ACCEPT", "STOLEN", "QUEUE", "REPEAT", "STOP"]


def read(path, name=None):
    """Returns packets and bytes in a file in the format of stats, by the other columns; with the
    name of a backend, as the module counts its tables."""
    counts = {}
    with open(path, encoding="ascii") as file:
        for family, table, *rest, packets, size in [line.split() for line in file][1:]:
            if name and name != "iptables":
                table = "nftables"
            old = counts.get((family, table, *rest), (0, 0))
            counts[family, table, *rest] = old[0] + int(packets), old[1] + int(size)
    return counts


def read_bpftrace(path):
    """Returns the number of packets by verdict."""
    with open(path, encoding="ascii") as file:
        found = re.findall(r"@\[(\d+)\]: (\d+)", file.read())
    return collections.Counter({VERDICTS[int(number)]: int(count) for number, count in found})


def print_table(title, head, rows):
    print(f"-- {title} --")
    lines = [head] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(line, widths))))
    print()


def compare_counters(name, module, counters):
    rows = []
    for key in list(module) + [key for key in counters if key not in module]:
        got, want = module.get(key, (0, 0)), counters.get(key, (0, 0))
        rows.append([" ".join(key), *got, *want, got[0] - want[0], got[1] - want[1]])
    print_table(f"the module and the counters of {name}",
                ["family table chain verdict", "packets", "bytes", name, "bytes",
                 "difference", "bytes"], rows)


def compare_verdicts(title, name, sums, seen):
    print_table(f"the module and {title}", ["verdict", "packets", name, "difference"],
                [[verdict, sums[verdict], seen[verdict], sums[verdict] - seen[verdict]]
                 for verdict in VERDICTS if sums[verdict] or seen[verdict]])


def main(name, stats, counters, bpftrace, watch):
    counters, bpftrace = read(counters, name), read_bpftrace(bpftrace)
    with open(watch, encoding="utf-8") as lines:
        watched = collections.Counter(line.split()[1] for line in lines)
    module = {key: value for key, value in read(stats).items()
              if (key[1] == "nftables") == (name != "iptables")}
    sums = collections.Counter()
    for (*_, verdict), (packets, _) in module.items():
        sums[verdict] += packets
    compare_counters(name, module, counters)
    compare_verdicts("bpftrace on the raw tracepoints", "bpftrace", sums, bpftrace)
    drops = collections.Counter(DROP=sums["DROP"])
    compare_verdicts("the drops of iptverdict watch", "watch", drops, watched)
    if not module or module != counters or sums != bpftrace or drops != watched:
        sys.exit("iptverdict: the counters disagree")
    print(f"All {sum(sums.values())} verdicts of {name} agree.\n")


main(*sys.argv[1:])
