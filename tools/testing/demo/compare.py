#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""compare.py STATS IPTABLES BPFTRACE: what the module counted, beside what
iptables and a BPF tool did. Exits with 1 if they differ."""

import collections
import re
import sys

VERDICTS = ["DROP", "ACCEPT", "STOLEN", "QUEUE", "REPEAT", "STOP"]


def read(path):
    with open(path, encoding="ascii") as lines:
        rows = [line.split() for line in lines][1:]
    return {tuple(row[:4]): (int(row[4]), int(row[5])) for row in rows}


def table(title, head, rows):
    print(f"-- {title} --")
    rows = [head] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        print("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))))
    print()


module, iptables = read(sys.argv[1]), read(sys.argv[2])
with open(sys.argv[3], encoding="ascii") as lines:
    bpf = {VERDICTS[int(number)]: int(count)
           for number, count in re.findall(r"@\[(\d+)\]: (\d+)", lines.read())}

rows = []
for key in list(module) + [key for key in iptables if key not in module]:
    got, want = module.get(key, (0, 0)), iptables.get(key, (0, 0))
    rows.append([" ".join(key), *got, *want, got[0] - want[0], got[1] - want[1]])
table("the module beside the counters of iptables",
      ["family table chain verdict", "packets", "bytes", "iptables", "bytes", "difference", "bytes"], rows)

sums = collections.Counter()
for (*_, verdict), (packets, _) in module.items():
    sums[verdict] += packets
verdicts = [verdict for verdict in VERDICTS if sums[verdict] or bpf.get(verdict)]
table("the module beside bpftrace on the raw tracepoints",
      ["verdict", "packets", "bpftrace", "difference"],
      [[v, sums[v], bpf.get(v, 0), sums[v] - bpf.get(v, 0)] for v in verdicts])

if not module or module != iptables or sums != collections.Counter(bpf):
    sys.exit("iptverdict: the counters disagree")
print(f"All {sum(sums.values())} verdicts agree.")
