#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""How long a CPU holds the lock of a kretprobe in Linux 5.10, from a log of QEMU.

hold.py --ranges KALLSYMS
    prints the functions that QEMU is to log, in the form of its option -dfilter
hold.py KALLSYMS LOG
    reads the log of "-d in_asm,exec,nochain", which may be a FIFO. Prints a line for each number
    of instructions, columns separated by tabs: hold FUNCTION TIMES INSTRUCTIONS, from the one that
    takes the lock to the one that releases it"""

import collections
import re
import sys

# These take the lock; what a kretprobe does for the hash table of its instances is not counted.
TAKERS = ("pre_handler_kretprobe", "recycle_rp_inst")
LOCKS = ("_raw_spin_lock", "_raw_spin_lock_irqsave", "_raw_spin_unlock_irqrestore")
# With one CPU, the kernel removes the prefix lock.
TAKES = re.compile(r"(?:lock )?cmpxchg")
RELEASES = re.compile(r"movb +\$0,")
# The bytes of a long one go on in a line without a text.
INSTRUCTION = re.compile(r"0x[0-9a-f]{16}: +(?:[0-9a-f]{2} )+ +(.*)")
# The address of a block, and its flags, by which blocks of the same address differ.
EXECUTED = re.compile(r"Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]{16})/([0-9a-f]+/[0-9a-f]+)\]")


def functions(kallsyms):
    """Returns the addresses of the functions, each with that of the next one."""
    with open(kallsyms, encoding="ascii") as lines:
        symbols = [line.split()[:3] for line in lines]
    texts = sorted((int(address, 16), name) for address, kind, name in symbols if kind in "tT")
    found = {name: (address, following[0])
             for (address, name), following in zip(texts, texts[1:]) if name in TAKERS + LOCKS}
    missing = set(TAKERS + LOCKS) - set(found)
    if missing:
        sys.exit(f"iptverdict: {kallsyms}: no function {', '.join(sorted(missing))}")
    return found


def blocks(log):
    """Yields the blocks of instructions that QEMU executes: the address, and the instructions in
    words. A block is executed as soon as it is translated; one may be logged, but then stopped
    before its first instruction, and executed later."""
    known, translated, last = {}, [], None
    for line in log:
        if executed := EXECUTED.match(line):
            if last:
                yield last
            block = executed.groups()
            if translated:
                known[block], translated = translated, []
            last = block[0], known[block]
        elif line.startswith("Stopped execution"):
            last = None
        elif line.startswith("IN:"):
            translated = []
        elif instruction := INSTRUCTION.match(line):
            translated.append(instruction[1])
    if last:
        yield last


def holds(log, entries):
    """Counts how often each taker holds the lock for so many instructions. entries: the names of
    the takers by their first address."""
    found = collections.Counter()
    # The taker that runs, until it has the lock; the one that holds it, and since when.
    taker = holder = None
    count = 0
    for address, instructions in blocks(log):
        taker = entries.get(address, taker)
        for text in instructions:
            count += 1
            if taker and TAKES.match(text):
                taker, holder, count = None, taker, 0
            elif holder and RELEASES.match(text):
                found[holder, count] += 1
                holder = None
    return found


def main(arguments):
    """The command line."""
    if len(arguments) != 2:
        sys.exit(__doc__)
    if arguments[0] == "--ranges":
        print(",".join(f"{first:#x}..{last - 1:#x}"
                       for first, last in functions(arguments[1]).values()))
        return
    known = functions(arguments[0])
    entries = {f"{known[name][0]:016x}": name for name in TAKERS}
    with open(arguments[1], encoding="ascii") as log:
        found = holds(log, entries)
    for name in TAKERS:
        if not any(of == name for of, _ in found):
            sys.exit(f"iptverdict: {arguments[1]}: {name} holds no lock")
    for (name, instructions), times in sorted(found.items()):
        print("hold", name, times, instructions, sep="\t")


main(sys.argv[1:])
