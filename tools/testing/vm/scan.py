#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""scan.py LOG: prints the reports in the log of a guest's kernel.

A report is a splat, or a line by which a debugging feature of the kernel reports a fault.
Exits with 1 if the log contains one that the file "allowed" does not permit."""

import pathlib
import re
import sys

# Titles of reports: regular expressions, by what prints them.
REPORTS = {
    "BUG(), oopses, panics": ["BUG:", "Oops", "Kernel panic", "general protection",
                              "unable to handle", "Internal error"],
    "WARN()": ["WARNING:"],
    "any stack dump": ["Call Trace:"],
    "sanitizers": ["KASAN", "UBSAN", "CFI failure"],
    "lockdep and RCU": ["INFO: possible", "possible (circular|recursive) locking",
                        "inconsistent lock state", "suspicious RCU", "rcu.*stall",
                        "DEBUG_LOCKS_WARN_ON"],
    "the scheduler": ["scheduling while atomic", "sleeping function called", "soft lockup",
                      "hung task", "blocked for more than"],
    "debug objects": ["ODEBUG"],
    "kmemleak": ["kmemleak: ([1-9]|unreferenced)"],
    "slab and page debugging": [r"BUG [^ ]* \(", "overwritten", "memory corruption"],
    "allocations": ["page allocation failure", "vmalloc error"],
    "reference counts": ["refcount_t:", "unregister_netdevice: waiting"],
}
REPORT = re.compile("|".join(title for titles in REPORTS.values() for title in titles))

# A title that names one of our functions is never allowed.
OURS = re.compile("(ipt|ip6t|arpt)_|verdict|percpu|tracepoint|traceiter")

# Lines of a report: how many are printed, and how far from its title its stack may begin.
SHOWN = 25
STACK = 45

# The time and the caller's CPU or task, which precede each message.
PREFIX = re.compile(r"^\[ *[0-9.]+\](\[ *[TC][0-9]+\])? ")


def allowed_reports():
    """Returns pairs of expressions: the title, and a line within STACK lines or None."""
    path = pathlib.Path(__file__).with_name("allowed")
    pairs = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            title, _, within = line.partition("\t")
            pairs.append((re.compile(title), re.compile(within) if within else None))
    return pairs


# The kernel prints its command line, which contains the path of the clone.
COMMAND_LINE = re.compile(r"^(Kernel c|C)ommand line: |^Unknown kernel command line parameters |"
                          r"^ +virtme_[a-z]+=")


def is_allowed(lines, at, allowed):
    """Returns whether the report with the title lines[at] is allowed."""
    if OURS.search(lines[at]):
        return False
    return any(title.search(lines[at]) and
               (within is None or any(map(within.search, lines[at:at + STACK])))
               for title, within in allowed)


def unexpected(lines):
    """Yields the number of each line that belongs to a report that is not allowed."""
    allowed = allowed_reports()
    stack_until, shown_until = -1, -1
    for at, line in enumerate(lines):
        if "Call Trace:" in line and at <= stack_until:
            # The stack of an allowed report: the next one is no longer part of it.
            stack_until = -1
        elif REPORT.search(line) and not COMMAND_LINE.search(line):
            if is_allowed(lines, at, allowed):
                stack_until = at + STACK
            else:
                stack_until, shown_until = -1, at + SHOWN
        if at < shown_until:
            yield at


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace")
    lines = [PREFIX.sub("", line.rstrip("\r")) for line in text.split("\n")]
    found = list(unexpected(lines))
    for at in found:
        print(f"{at + 1}:{lines[at]}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
