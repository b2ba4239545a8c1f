#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""compare.py NAME STATS COUNTERS BPFTRACE: compares the counters of the module with those of the
rules and of bpftrace. NAME: iptables, iptables-nft or nftables. Fails if they differ.

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


def compare_bpftrace(sums, bpftrace):
    print_table("the module and bpftrace on the raw tracepoints",
                ["verdict", "packets", "bpftrace", "difference"],
                [[verdict, sums[verdict], bpftrace[verdict], sums[verdict] - bpftrace[verdict]]
                 for verdict in VERDICTS if sums[verdict] or bpftrace[verdict]])


def main(name, stats, counters, bpftrace):
    counters, bpftrace = read(counters, name), read_bpftrace(bpftrace)
    module = {key: value for key, value in read(stats).items()
              if (key[1] == "nftables") == (name != "iptables")}
    sums = collections.Counter()
    for (*_, verdict), (packets, _) in module.items():
        sums[verdict] += packets
    compare_counters(name, module, counters)
    compare_bpftrace(sums, bpftrace)
    if not module or module != counters or sums != bpftrace:
        sys.exit("iptverdict: the counters disagree")
    print(f"All {sum(sums.values())} verdicts of {name} agree.\n")


main(*sys.argv[1:])
