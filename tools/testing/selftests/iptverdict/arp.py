#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Sends ARP requests, as broadcasts, whatever the neighbour table has."""

import argparse
import socket
import struct
import sys


def main():
    """Parses the arguments and sends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device")
    parser.add_argument("senders", help="IPv4 addresses, separated by commas")
    parser.add_argument("target", help="IPv4 address")
    parser.add_argument("count", type=int, help="requests from each sender")
    parser.add_argument("--length", type=int, default=28,
                        help="truncate the ARP packet to this many bytes")
    args = parser.parse_args()

    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((args.device, 0x806))
            mac = raw.getsockname()[4]
            for sender in args.senders.split(","):
                request = struct.pack("!HHBBH6s4s6x4s", 1, 0x800, 6, 4, 1, mac,
                                      socket.inet_aton(sender), socket.inet_aton(args.target))
                for _ in range(args.count):
                    raw.send(b"\xff" * 6 + mac + b"\x08\x06" + request[:args.length])
    except OSError as error:
        sys.exit(f"iptverdict: arp.py: {args.device}: {error}")


if __name__ == "__main__":
    main()
