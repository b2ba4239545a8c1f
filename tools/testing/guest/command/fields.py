#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""fields.py FIELD...: prints these fields of each JSON object on standard input, as
packet.source_port or by.rule.text, separated by tabs; "-" for one that it does not have.

fields.py: prints the names of the fields that the objects have."""

import json
import sys


def field(value, path):
    """Returns a field of an object, by the names on the way to it."""
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return "-"
        value = value[name]
    return "null" if value is None else str(value)


def main():
    """Reads the objects."""
    items = map(json.loads, sys.stdin)
    if len(sys.argv) == 1:
        print(*sorted({name for item in items for name in item}), sep="\n")
    for item in items:
        print(*(field(item, path) for path in sys.argv[1:]), sep="\t")


if __name__ == "__main__":
    main()
