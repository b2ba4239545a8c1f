#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""story.py BEFORE AFTER PING FLOOD...: what guest's story prints, from the first
lines of /proc/stat, the output of ping and those of iperf3 --json."""

import json
import re
import statistics
import sys


def main(before, after, ping, *floods):
    times = [int(b) - int(a) for a, b in zip(before.split()[1:9], after.split()[1:9])]
    share = 100 * times[6] / sum(times)

    with open(ping, encoding="ascii") as text:
        text = text.read()
    latencies = sorted(float(time) for time in re.findall(r"time=([0-9.]+)", text))
    sent = int(re.search(r"(\d+) packets transmitted", text)[1])
    if not latencies:
        sys.exit("story.py: no ping was answered")
    p99 = latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))]

    packets = arrived = 0
    for name in floods:
        with open(name, encoding="utf-8") as flood:
            end = json.load(flood)["end"]["sum"]
        packets += end["packets"]
        arrived += end["packets"] - end["lost_packets"]

    print(f"{share:.1f}", f"{statistics.median(latencies):.3f}", p99, sent - len(latencies),
          packets, arrived, sep="\t")


main(*sys.argv[1:])
