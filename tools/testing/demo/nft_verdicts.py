#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Reads a ruleset of nftables as "nft --json list ruleset" prints it, and prints how often each
verdict was reached according to its counters, in the format of the module's stats.

The base chains have to begin with a counter, each rule that decides has to have one, and each
other chain has to be reached from one base chain only. What no rule decided, the policy did."""

import collections
import json
import sys

FAMILIES = {"ip": "ipv4", "ip6": "ipv6"}
VERDICTS = {"accept": "ACCEPT", "drop": "DROP", "reject": "DROP", "queue": "QUEUE",
            "dnat": "ACCEPT"}


def targets(expression):
    """Returns the chains that a rule can jump or go to, also by a verdict map."""
    if isinstance(expression, list):
        return [target for item in expression for target in targets(item)]
    if not isinstance(expression, dict):
        return []
    found = []
    for key, value in expression.items():
        if key in ("jump", "goto"):
            found.append(value["target"])
        else:
            found += targets(value)
    return found


def counter(rule):
    """Returns packets and bytes of the counter of a rule."""
    return next(((item["counter"]["packets"], item["counter"]["bytes"])
                 for item in rule["expr"] if "counter" in item), (0, 0))


def decided_below(family, base, rules):
    """Returns packets and bytes by verdict of the rules of a base chain, and of those that it jumps
    to."""
    decided, todo, done = collections.Counter(), [base], set()
    while todo:
        current = todo.pop()
        if current in done:
            continue
        done.add(current)
        for rule in rules[family, current]:
            todo += targets(rule["expr"])
            for verdict in (VERDICTS[key] for part in rule["expr"] for key in part
                            if key in VERDICTS):
                for kind, value in enumerate(counter(rule)):
                    decided[verdict, kind] += value
    return decided


def main():
    """Adds up the counters by family, hook and verdict."""
    bases, rules = [], collections.defaultdict(list)
    for item in json.load(sys.stdin)["nftables"]:
        if "hook" in item.get("chain", ()):
            bases.append(item["chain"])
        elif "rule" in item:
            rules[item["rule"]["family"], item["rule"]["chain"]].append(item["rule"])

    counts = collections.Counter()
    for chain in bases:
        family = chain["family"]
        decided = decided_below(family, chain["name"], rules)
        for kind, total in enumerate(counter(rules[family, chain["name"]][0])):
            rest = total - sum(value for (_, of), value in decided.items() if of == kind)
            decided[chain["policy"].upper(), kind] += rest
        for (verdict, kind), value in decided.items():
            counts[FAMILIES[family], chain["hook"].upper(), verdict, kind] += value

    print("family table chain verdict packets bytes")
    for family, hook, verdict, kind in counts:
        if kind == 0 and counts[family, hook, verdict, 0]:
            print(family, "nftables", hook, verdict, counts[family, hook, verdict, 0],
                  counts[family, hook, verdict, 1])


if __name__ == "__main__":
    main()
