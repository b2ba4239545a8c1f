#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""compare.py STATS IPTABLES BPFTRACE: compares the counters of the module with those of iptables
and of bpftrace. Fails if they differ."""

import collections
import re
import sys

VERDICTS = ["DROP", "ACCEPT", "STOLEN", "QUEUE", "REPEAT", "STOP"]


def read(path):
    """Returns packets and bytes in a file in the format of stats, by the other columns."""
    with open(path, encoding="ascii") as file:
        lines = [line.split() for line in file][1:]
    return {tuple(line[:4]): (int(line[4]), int(line[5])) for line in lines}


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


def compare_iptables(module, iptables):
    rows = []
    for key in list(module) + [key for key in iptables if key not in module]:
        got, want = module.get(key, (0, 0)), iptables.get(key, (0, 0))
        rows.append([" ".join(key), *got, *want, got[0] - want[0], got[1] - want[1]])
    print_table("the module and the counters of iptables",
                ["family table chain verdict", "packets", "bytes", "iptables", "bytes",
                 "difference", "bytes"], rows)


def compare_bpftrace(sums, bpftrace):
    print_table("the module and bpftrace on the raw tracepoints",
                ["verdict", "packets", "bpftrace", "difference"],
                [[verdict, sums[verdict], bpftrace[verdict], sums[verdict] - bpftrace[verdict]]
                 for verdict in VERDICTS if sums[verdict] or bpftrace[verdict]])


def main(stats, iptables, bpftrace):
    module, iptables, bpftrace = read(stats), read(iptables), read_bpftrace(bpftrace)
    sums = collections.Counter()
    for (*_, verdict), (packets, _) in module.items():
        sums[verdict] += packets
    compare_iptables(module, iptables)
    compare_bpftrace(sums, bpftrace)
    if not module or module != iptables or sums != bpftrace:
        sys.exit("iptverdict: the counters disagree")
    print(f"All {sum(sums.values())} verdicts agree.")


main(*sys.argv[1:])
