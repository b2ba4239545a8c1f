# SPDX-License-Identifier: GPL-2.0
"""Loads a router in the guest with packets at an exact rate, by the module ipt_load."""

import contextlib
import math
import pathlib
import statistics
import types

from mechanisms import BenchError, in_net, load_rules, read, run, wait_until, write

PARAMETERS = pathlib.Path("/sys/module/ipt_load/parameters")
RUN = pathlib.Path("/sys/kernel/debug/ipt_load/run")
DEMO = pathlib.Path(__file__).resolve().parents[1] / "demo/ruleset"
RING = 1024
# In a trial of a second, the ring fills if the rate is half a per cent too high.
PRECISION = 0.005
NET = "router"


def ruleset(count):
    """Returns the ruleset of the demonstration, with so many rules more at the head of FORWARD."""
    head = "-A FORWARD -m conntrack"
    text = DEMO.read_text(encoding="ascii")
    if text.count(head) != 1:
        raise BenchError(f"{DEMO}: needs one rule {head}")
    more = "".join(f"-A FORWARD -s 192.0.{2 + i // 256}.{i % 256} -j ACCEPT\n"
                   for i in range(count))
    return text.replace(head, more + head)


@contextlib.contextmanager
def network_namespace():
    """Makes the network namespace of the router. Yields the command ip for it."""
    run("ip", "netns", "add", NET)
    try:
        in_net(NET, "sysctl", "-qw", "net.ipv4.ip_forward=1",
               "net.ipv6.conf.default.disable_ipv6=1", "net.ipv6.conf.all.disable_ipv6=1")
        yield ("ip", "-n", NET)
    finally:
        run("ip", "netns", "del", NET)


def configure(ip, rules=0):
    """Configures the devices of the router, r0 and r1, and loads its ruleset."""
    for i in range(2):
        run(*ip, "addr", "add", f"10.0.{i + 1}.1/24", "dev", f"r{i}")
        run(*ip, "link", "set", f"r{i}", "up")
        run(*ip, "neigh", "add", f"10.0.{i + 1}.2", "lladdr", "02:00:00:00:00:01",
            "dev", f"r{i}", "nud", "permanent")
    load_rules(NET, ruleset(rules), "iptables-legacy-restore")


@contextlib.contextmanager
def router(module, rules):
    """Makes the router, between the two devices of the module."""
    run("insmod", str(module), f"ring={RING}")
    try:
        with network_namespace() as ip:
            for i in range(2):
                run("ip", "link", "set", f"load{i}", "netns", NET, "name", f"r{i}")
            configure(ip, rules)
            yield
    finally:
        wait_until(unloaded, "ipt_load is still in use")


def unloaded():
    """Removes the module, once the network namespace has given the devices back."""
    try:
        run("rmmod", "ipt_load")
    except BenchError:
        return False
    return True


def offer(rate, seconds, stop=False):
    """Offers packets. Returns what became of them, and the round trips of the pings, in ns, with 0
    for one that has not come back."""
    write(PARAMETERS / "rate", rate)
    write(PARAMETERS / "packets", int(rate * seconds))
    write(PARAMETERS / "stop", int(stop))
    counts, *pings = read(RUN).splitlines()
    offered, dropped, delivered, busy = map(int, counts.split())
    if delivered + dropped > offered:
        raise BenchError(f"{offered} offered, but {dropped} dropped and {delivered} delivered")
    return types.SimpleNamespace(offered=offered, dropped=dropped, delivered=delivered,
                                 busy=busy / 1e9 / seconds, pings=list(map(int, pings)))


def packets(count):
    """Offers so many packets, without pings, at a rate at which all are delivered. Returns their
    number."""
    write(PARAMETERS / "ping", 0)
    trial = offer(10000, count / 10000)
    if trial.delivered != count:
        raise BenchError(f"{trial.delivered} packets delivered of {count}")
    return count


def overload(cpus=1, seconds=0.2):
    """Offers each CPU far more than it can forward. Returns the packets a second that are
    delivered, without those that are left in the rings at the end."""
    write(PARAMETERS / "queues", cpus)
    try:
        trial = offer(1000000, seconds)
    finally:
        write(PARAMETERS / "queues", 1)
    return max(trial.delivered - cpus * RING, 1) / seconds


def rate_at(step):
    """Returns one of the rates that are tried: each is PRECISION more than the one before."""
    return round(1000 * (1 + PRECISION) ** step)


def throughput(seconds=1):
    """Returns the highest rate, in packets a second, at which the router delivers all packets of a
    trial (RFC 2544, 26.1), by bisection. The rates that are tried do not depend on the router, so
    that small differences of two runs seldom change the result."""
    def lossless(step):
        trial = offer(rate_at(step), seconds, stop=True)
        return trial.delivered == trial.offered

    low = int(math.log(overload() / 1000, 1 + PRECISION))
    high, width = low + 1, 1
    while not lossless(low):
        width *= 2
        low, high = low - width, low
    while lossless(high):
        width *= 2
        low, high = high, high + width
    while high - low > 1:
        middle = (low + high) // 2
        if lossless(middle):
            low = middle
        else:
            high = middle
    return rate_at(low)


def latency(rate, seconds=2):
    """Offers packets. Returns the share of them that was delivered, and of the time in which the
    driver was polled, in per cent; pings sent and lost; the median and the 99th percentile of the
    round trips, in ns."""
    trial = offer(rate, seconds)
    times = sorted(filter(None, trial.pings))
    if not times:
        raise BenchError(f"no ping of {len(trial.pings)} came back at {rate} packets a second")
    return (f"{100 * trial.delivered / trial.offered:.2f}", f"{100 * trial.busy:.2f}",
            len(trial.pings), len(trial.pings) - len(times), round(statistics.median(times)),
            times[math.ceil(len(times) * 0.99) - 1])
