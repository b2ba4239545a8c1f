# SPDX-License-Identifier: GPL-2.0
"""Forwards packets of the kernel's generator pktgen through a router, as fast as one CPU does."""

import contextlib
import functools
import json
import pathlib
import re
import types

import load
from mechanisms import BenchError, in_net, run

DIRECTORY = "/proc/net/pktgen"
CPU = 0
# A run takes so many seconds.
SECONDS = 0.5
SETTINGS = ("clone_skb 0", "burst 1", "pkt_size 60", "delay 0", "xmit_mode netif_receive",
            "src_mac 02:00:00:00:00:01", "src_min 10.0.1.2", "src_max 10.0.1.2", "dst 10.0.2.2",
            "udp_src_min 10000", "udp_src_max 10063", "udp_dst_min 7004", "udp_dst_max 7004")


def command(file, *lines):
    """Returns a command that writes to a file of pktgen: a command of pktgen at a time."""
    return ("bash", "-c", 'for line in "${@:2}"; do echo "$line" >"$1" || exit; done', "bash",
            f"{DIRECTORY}/{file}", *lines)


@contextlib.contextmanager
def modules():
    """Loads the modules that are not loaded."""
    missing = [name for name in ("pktgen", "dummy")
               if not pathlib.Path("/sys/module", name).exists()]
    for name in missing:
        # By default, dummy makes a device.
        run("modprobe", name, *(["numdummies=0"] if name == "dummy" else []))
    try:
        yield
    finally:
        for name in missing:
            run("modprobe", "--remove", name)


@contextlib.contextmanager
def router():
    """Makes a router with the ruleset of the demonstration. pktgen puts packets into the receive
    path of r0; r1 takes what is sent, and does nothing with it."""
    with modules(), load.network_namespace() as ip:
        for i in range(2):
            run(*ip, "link", "add", f"r{i}", "type", "dummy")
        load.configure(ip)
        mac = json.loads(run(*ip, "-json", "link", "show", "r0"))[0]["address"]
        in_net(load.NET, *command(f"kpktgend_{CPU}", f"add_device r0@{CPU}"))
        in_net(load.NET, *command(f"r0@{CPU}", f"dst_mac {mac}", *SETTINGS))
        try:
            yield
        finally:
            in_net(load.NET, *command(f"kpktgend_{CPU}", "rem_device_all"))


def sent():
    """Returns how many packets the router has sent."""
    link = json.loads(in_net(load.NET, "ip", "-json", "-s", "link", "show", "r1"))[0]
    return link["stats64"]["tx"]["packets"]


@functools.cache
def perf_works():
    """Returns whether there is a perf for this kernel."""
    try:
        run("perf", "stat", "true")
    except BenchError:
        return False
    return True


def forward(count):
    """Forwards so many packets. Returns the packets a second, and the cycles and instructions for
    each packet, "-" if the CPU does not count them."""
    in_net(load.NET, *command(f"r0@{CPU}", f"count {count}"))
    before = sent()
    start = ("nsenter", f"--net=/run/netns/{load.NET}", *command("pgctrl", "start"))
    counted = {}
    if perf_works():
        log = run("perf", "stat", "--log-fd", "1", "-x,", f"--cpu={CPU}",
                  "-e", "cycles,instructions", "--", *start)
        counted = {event: int(value) for value, event in
                   re.findall(r"^(\d+),[^,]*,(?:cpu_core/)?(cycles|instructions)\b", log, re.M)}
    else:
        run(*start)
    forwarded = sent() - before
    if forwarded != count:
        raise BenchError(f"{forwarded} packets forwarded of {count}")
    result = in_net(load.NET, "cat", f"{DIRECTORY}/r0@{CPU}")
    rate = re.search(r"^Result: OK:.*\n *(\d+)pps", result, re.M)
    if not rate:
        raise BenchError(f"pktgen: {result.strip().splitlines()[-1]}")
    return types.SimpleNamespace(rate=int(rate[1]), **{
        event: round(counted[event] / count) if event in counted else "-"
        for event in ("cycles", "instructions")})


def packets():
    """Returns how many packets a run has, after one that makes the flows known."""
    forward(1000)
    return max(1000, round(forward(1000).rate * SECONDS))
