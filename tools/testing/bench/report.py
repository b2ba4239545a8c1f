#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""report.py COST.TSV: the measurements as a reStructuredText table.

report.py --into DOCUMENT TABLE: puts the table TABLE into a document, between the
comments ".. cost:" and ".. end of cost"."""

import re
import sys

MECHANISMS = ["iptverdict", "c_twin", "raw_tp", "tp"]


def table(path):
    """Rows by family and size; what is attached is given over off."""
    cost = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            family, rules, mechanism, _, best, median, worst = line.rstrip("\n").split("\t")
            if best != worst:
                sys.exit(f"iptverdict: {mechanism}, {family}, {rules} rules: "
                         f"{best}, {median}, {worst} instructions: is this not -icount?")
            cost.setdefault((family, rules), {})[mechanism] = int(best)

    rows = [["family", "rules", "unpatched", "off"] + [f"{name}" for name in MECHANISMS]]
    for (family, rules), of in cost.items():
        off = of["off"]
        rows.append([family, rules, str(of["unpatched"]), f"{off} ({off - of['unpatched']:+})"]
                    + [f"{of[name] - off:+}" if name in of else "-" for name in MECHANISMS])

    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
             for row in rows]
    print(rule, lines[0], rule, *lines[1:], rule, "", sep="\n")


def into(document, path):
    with open(path, encoding="ascii") as text:
        new = f".. cost: by 'make bench-doc'\n\n{text.read().rstrip()}\n\n.. end of cost"
    with open(document, encoding="ascii") as text:
        old = text.read()
    changed, count = re.subn(r"\.\. cost:.*?\.\. end of cost", lambda _: new, old, flags=re.S)
    if count != 1:
        sys.exit(f"iptverdict: {document} has no place for the table")
    with open(document, "w", encoding="ascii") as text:
        text.write(changed)


if sys.argv[1:2] == ["--into"] and len(sys.argv) == 4:
    into(*sys.argv[2:])
elif len(sys.argv) == 2:
    table(sys.argv[1])
else:
    sys.exit(__doc__)
