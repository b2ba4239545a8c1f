#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Sends UDP datagrams.

PORTS and SIZES are lists of numbers and ranges, such as 7,9-16. Datagram i goes to the
i-th port and has the i-th number of payload bytes; both lists repeat. Datagrams that cannot
be sent are skipped; it is an error if none could."""

import argparse
import itertools
import pathlib
import socket
import sys
import time

# With a rate, the sender sleeps after this many datagrams.
BURST = 20


def numbers(text):
    """Returns the numbers in a list of numbers and ranges."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def main():
    """Parses the arguments and sends."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="IPv4 or IPv6 address")
    parser.add_argument("ports", type=numbers)
    parser.add_argument("sizes", type=numbers)
    parser.add_argument("--count", type=int,
                        help="number of datagrams; 0: until killed (default: one per size)")
    parser.add_argument("--rate", type=int, help="at most this many per second")
    parser.add_argument("--ready", help="create this file after 200 datagrams")
    parser.add_argument("--protocol", type=int,
                        help="send packets of this IP protocol instead of UDP; PORTS has to be 0")
    args = parser.parse_args()

    family = socket.AF_INET6 if ":" in args.address else socket.AF_INET
    try:
        socket.inet_pton(family, args.address)
        if args.protocol is None:
            out = socket.socket(family, socket.SOCK_DGRAM)
        else:
            out = socket.socket(family, socket.SOCK_RAW, args.protocol)
    except OSError as error:
        sys.exit(f"iptverdict: send.py: {args.address}: {error}")

    count = len(args.sizes) if args.count is None else args.count
    payload = b"x" * max(args.sizes)
    sent, failure = 0, None
    for i in itertools.count() if count == 0 else range(count):
        size, port = args.sizes[i % len(args.sizes)], args.ports[i % len(args.ports)]
        try:
            out.sendto(payload[:size], (args.address, port))
            sent += 1
        except OSError as error:
            failure = error
        if i == 199 and args.ready:
            pathlib.Path(args.ready).touch()
        # Sleep even when behind the rate, so that other processes can run.
        if args.rate and i % BURST == BURST - 1:
            time.sleep(BURST / args.rate)
    if not sent:
        sys.exit(f"iptverdict: send.py: nothing was sent to {args.address}: {failure}")


if __name__ == "__main__":
    main()
