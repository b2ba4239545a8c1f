#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Sends UDP datagrams.

PORTS and SIZES are lists of numbers and ranges, such as 7,9-16. Datagram i goes to the
i-th port and has the i-th number of payload bytes; both lists repeat. ICMP errors in
reply are ignored."""

import argparse
import itertools
import pathlib
import socket
import time


def numbers(text):
    """Returns the numbers in a list of numbers and ranges."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="of IPv4 or IPv6")
    parser.add_argument("ports", type=numbers)
    parser.add_argument("sizes", type=numbers)
    parser.add_argument("--count", type=int,
                        help="number of datagrams, 0: until killed (default: one per size)")
    parser.add_argument("--rate", type=int, help="at most this many per second")
    parser.add_argument("--ready", help="create this file after 200 datagrams")
    args = parser.parse_args()

    family = socket.AF_INET6 if ":" in args.address else socket.AF_INET
    out = socket.socket(family, socket.SOCK_DGRAM)
    count = len(args.sizes) if args.count is None else args.count
    payload = b"x" * max(args.sizes)
    start = time.monotonic()
    for i in itertools.count() if count == 0 else range(count):
        size, port = args.sizes[i % len(args.sizes)], args.ports[i % len(args.ports)]
        try:
            out.sendto(payload[:size], (args.address, port))
        except OSError:
            pass  # the ICMP error in reply to an earlier datagram
        if i == 199 and args.ready:
            pathlib.Path(args.ready).touch()
        if args.rate:
            time.sleep(max(0, start + (i + 1) / args.rate - time.monotonic()))


if __name__ == "__main__":
    main()
