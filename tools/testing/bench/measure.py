#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""measure.py DIR PART [MECHANISM...]: measures in the guest, with what build-bench has built in
DIR. Prints a line for each measurement, columns separated by tabs:

cost FAMILY RULES MECHANISM VERDICT BEST MEDIAN WORST CYCLES INSTRUCTIONS
    Ticks per call, in the best, the median and the worst batch; cycles and instructions as the
    CPU counts them, per 1,000 calls.
stock KERNEL MECHANISM INSTRUCTIONS
    As cost, for IPv4 and 10 rules, with a distribution's own tables and those of iptverdict-dkms.
packet MECHANISM CALLS BEST MEDIAN WORST
    Ticks for a packet through a router; calls of ipt_do_table() per 100 packets.
lost SITUATION MECHANISM CALLS SEEN MISSES
    Calls made, events seen, and events that the kernel counts as missed.
throughput RULES MECHANISM RATE
    Packets a second that the router forwards without a loss, with so many rules more.
latency MECHANISM LOAD RATE DELIVERED BUSY PINGS LOST MEDIAN P99
    Load, in per cent of the throughput of off, and in packets a second; delivered, in per cent; the
    time in which the driver was polled, in per cent; pings, those lost, and the nanoseconds of the
    others.
parallel MECHANISM ROUND ONE TWO
    Nanoseconds for the same number of calls per CPU, by one CPU and by two.
reading POSSIBLE_CPUS NANOSECONDS BYTES
    Duration of a read of stats; memory that the module allocates per CPU.
forward MECHANISM ROUND RATE CYCLES INSTRUCTIONS
    Packets a second that one CPU forwards, and what the CPU counts for each.
held PACKETS
    Packets that the router forwarded with a kretprobe while QEMU logged its lock; see hold.py.
scaling KERNEL MECHANISM ROUND ONE TWO
    Packets a second that the overloaded router forwards by one CPU, and by two.
skipped PART MECHANISM REASON
    A measurement that was not possible."""

import argparse
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import load
import mechanisms
import pktgen
from mechanisms import BenchError, in_net, load_rules, read, run, write

HERE = pathlib.Path(__file__).resolve().parent
HOSTS = HERE.parent / "selftests/iptverdict/hosts.sh"
SEND = HERE.parent / "selftests/iptverdict/send.py"
FILES = pathlib.Path("/sys/kernel/debug/ipt_bench")
TABLES = ("ip_tables", "ip6_tables", "arp_tables", "nf_tables")
# The kernel's own modules, which DKMS may have moved.
ORIGINALS = (pathlib.Path("/lib/modules", os.uname().release, "kernel"),
             pathlib.Path("/var/lib/dkms/iptverdict/original_module"))
# arptables-restore is a loop in Perl: few rules.
SIZES = {"ipv4": (1, 10, 100, 1000, 10000), "ipv6": (1, 10, 1000), "arp": (1, 10, 100),
         "nft": (1, 10, 100, 1000)}
STOCK_SIZES = {"ipv4": (10,), "nft": (1, 10, 100)}
# Rules that the router has besides those of the demonstration; if any, only a few mechanisms are
# measured. Loads, in per cent of what it carries.
ROUTERS = (0, 100, 1000)
LOADS = range(10, 131, 10)
ROUNDS = 9
# What is measured on the old kernel.
OLD = ("off", "bpftrace-kretprobe")


def row(*columns):
    """Prints a measurement, and reports it as progress."""
    print(*columns, sep="\t", flush=True)
    text = " ".join(map(str, columns))
    print(f"   {int(time.monotonic() - START):6d} s  {text:.100}", file=sys.stderr, flush=True)


def with_mechanism(built, part, name, nets, measure):
    """Calls measure(state) with the mechanism attached, or prints why it cannot be attached."""
    try:
        state = mechanisms.attach(name, built, nets)
    except (BenchError, OSError) as error:
        sys.stderr.write(getattr(error, "output", ""))
        row("skipped", part, name, str(error).replace("\t", " "))
        return
    try:
        measure(state)
    finally:
        mechanisms.detach(state)


def loaded_modules():
    """Returns the names of the loaded modules and the number of their users."""
    return {line.split()[0]: int(line.split()[2]) for line in read("/proc/modules").splitlines()}


def unload_tables():
    """Unloads the bench module and the tables. Network namespaces end in the background, and
    use the tables until then."""
    def unloaded():
        found = {name: users for name, users in loaded_modules().items() if name in TABLES or
                 re.match(r"ipt_bench$|(ip|ip6|arp)table_|nft_", name)}
        for name, users in found.items():
            if not users:
                run("rmmod", name)
        return not found
    mechanisms.wait_until(unloaded, "tables are still in use")


@contextlib.contextmanager
def tables(built, name, bench=True):
    """Loads the tables that build-bench has built in DIR/name, and, if bench is set, the bench
    module."""
    unload_tables()
    run("modprobe", "x_tables")
    # May be built in.
    with contextlib.suppress(BenchError):
        run("modprobe", "nfnetlink")
    for table in TABLES:
        paths = list((built / name).rglob(table + ".ko"))
        if len(paths) != 1:
            raise BenchError(f"{built / name}: has no {table}.ko: run build-bench")
        run("insmod", str(paths[0]))
    if bench:
        run("insmod", str(built / "module/ipt_bench.ko"))
    try:
        yield
    finally:
        unload_tables()


def ruleset(count, prefix, chain="INPUT"):
    """Returns a filter table with some rules that do not match."""
    rules = [f"-A {chain} -s {prefix}{i % 256} -j ACCEPT" for i in range(1, count + 1)]
    return "\n".join(["*filter", *rules, "COMMIT", ""])


def nft_ruleset(count):
    """Returns the same for nftables."""
    rules = [f"ip saddr 192.0.2.{i % 256} accept" for i in range(1, count + 1)]
    return "\n".join(["table ip filter {", "chain input {",
                      "type filter hook input priority 0; policy accept;", *rules, "}", "}", ""])


@contextlib.contextmanager
def rule_nets(sizes, families=("ipv4",)):
    """Makes a network namespace for each size, whose filter tables have so many rules. Yields
    the names by size."""
    nets = {}
    try:
        for size in sizes:
            run("ip", "netns", "add", f"rules{size}")
            nets[size] = f"rules{size}"
            for family in families:
                if size not in SIZES[family]:
                    continue
                if family == "ipv4":
                    load_rules(nets[size], ruleset(size, "192.0.2."), "iptables-legacy-restore")
                elif family == "ipv6":
                    load_rules(nets[size], ruleset(size, "2001:db8::"), "ip6tables-legacy-restore")
                elif family == "nft":
                    mechanisms.load_nft(nets[size], nft_ruleset(size))
                else:
                    for i in range(1, size + 1):
                        in_net(nets[size], "arptables-legacy", "-A", "INPUT",
                               "-s", f"192.0.2.{i}", "-j", "ACCEPT")
        yield nets
    finally:
        for net in nets.values():
            run("ip", "netns", "del", net)


def hosts(*command):
    """Runs a function of hosts.sh, or another command with its variables."""
    return run("bash", "-c", 'set -euo pipefail; . "$0"; "$@"', str(HOSTS), *command)


def variable(name):
    """Returns a variable of hosts.sh."""
    return hosts("eval", f'echo "${name}"').strip()


@contextlib.contextmanager
def three_hosts():
    """Makes client, router and server."""
    hosts("make_hosts")
    try:
        yield
    finally:
        hosts("remove_hosts")


def cost(state, family, nets, *kernel):
    """Measures a call, for each size of the ruleset; of a stock kernel, if it is given."""
    part = "stock" if kernel else "cost"
    for size in (n for n in SIZES[family] if n in nets):
        write(mechanisms.PARAMETERS / "calls", 200 if size < 1000 else 20 if size < 10000 else 4)
        mechanisms.settle(state)
        columns = in_net(nets[size], "cat", str(FILES / family)).split()
        row(part, *kernel, family, size, state.name.partition("@")[0], *columns)


def part_cost(built, names):
    """What a call costs: exact under QEMU's -icount."""
    def measure(name, family):
        with_mechanism(built, "cost", name, [nets[size] for size in SIZES[family]],
                       lambda state: cost(state, family, nets))
    with tables(built, "unpatched"), rule_nets(SIZES["ipv4"], SIZES) as nets:
        for family in SIZES:
            measure("unpatched", family)
    with tables(built, "patched"), rule_nets(SIZES["ipv4"], SIZES) as nets:
        for name in ("off", *(names or [*mechanisms.ALL, *mechanisms.TOOLS])):
            measure(name, "ipv4")
        for family in ("ipv6", "arp"):
            for name in ("off", "iptverdict", "c_ref", f"raw_tp@{family}", f"tp@{family}"):
                measure(name, family)
        for name in ("off", *mechanisms.nft(names)):
            measure(name, "nft")


def part_stock(built, names):
    """What a call costs with a distribution's own modules, and with those of iptverdict-dkms."""
    kernel = os.uname().release
    module = pathlib.Path(os.environ["KDIR"]) / "test-modules/ipt_bench.ko"

    def measure(family, *names):
        with rule_nets(STOCK_SIZES[family], (family,)) as nets:
            for name in names:
                with_mechanism(built, "stock", name, nets.values(),
                               lambda state: cost(state, family, nets, kernel))

    # systemd loads ip_tables. What nf_tables needs stays loaded.
    run("modprobe", "nf_tables")
    unload_tables()
    run("modprobe", "--remove", "x_tables")
    for table in ("x_tables", *TABLES, "iptable_filter"):
        run("insmod", str(next(path for directory in ORIGINALS
                               for path in directory.rglob(table + ".ko*")
                               if path.suffix != ".origin")))
    # It was built for the versions of the symbols of the package; without any, it loads beside all.
    run("objcopy", "--rename-section=__versions=unused", str(module), "/tmp/ipt_bench.ko")
    run("insmod", "/tmp/ipt_bench.ko")
    for family in STOCK_SIZES:
        measure(family, "unpatched")
    unload_tables()
    run("modprobe", "--remove", "x_tables")
    run("modprobe", "--all", *TABLES)
    run("insmod", str(module))
    # Rust has to be in the kernel.
    has_module = any(pathlib.Path("/lib/modules", kernel).rglob("iptverdict.ko*"))
    names = names or (["iptverdict"] if has_module else []) + ["raw_tp", "tp"]
    measure("ipv4", "off", *names)
    measure("nft", "off", *mechanisms.nft(names))
    unload_tables()


def part_here(built, names):
    """What a call costs, with the tables of the running kernel."""
    run("modprobe", "ip_tables")
    run("insmod", str(built / "module/ipt_bench.ko"))
    try:
        with rule_nets(SIZES["ipv4"]) as nets:
            for name in ("off", *(names or mechanisms.ALL)):
                with_mechanism(built, "cost", name, nets.values(),
                               lambda state: cost(state, "ipv4", nets))
    finally:
        run("rmmod", "ipt_bench")


def lost(state, situation, call, name):
    """Makes calls, and compares their number with the events that were seen."""
    calls = call()
    events = mechanisms.seen(state)
    row("lost", situation, name, calls, events, mechanisms.misses(state))


def nested():
    """Sends packets for which REJECT and TEE send others within the traversal. Returns the
    number of traversals, each of which ends in one rule with a verdict or in one policy."""
    for table in ("filter", "mangle"):
        hosts("ipt", "router", "-t", table, "-Z")
    in_net("client", "bash", "-c",
           'for ((i = 0; i < 100; i++)); do ! : <>"/dev/tcp/$0/81" || exit 1; done 2>/dev/null',
           variable("router"))
    in_net("client", str(SEND), "--count", "100", variable("server"), "9", "1")
    hosts("settle")
    saved = in_net("router", "iptables-legacy-save", "-c")
    return sum(map(int, re.findall(r"^:[A-Z]+ [A-Z]+ \[(\d+):", saved, re.M) +
                   re.findall(r"^\[(\d+):.*REJECT", saved, re.M)))


def nested_nft():
    """The same by reject and dup of nftables: each chain counts its traversals."""
    nft = ("nft", "-j", "reset", "counters", "table", "ip", "bench")
    in_net("router", *nft)
    in_net("client", "bash", "-c",
           'for ((i = 0; i < 100; i++)); do ! : <>"/dev/tcp/$0/81" || exit 1; done 2>/dev/null',
           variable("router"))
    in_net("client", str(SEND), "--count", "100", variable("server"), "9", "1")
    hosts("settle")
    return sum(item["counter"]["packets"] for item in json.loads(in_net("router", *nft))["nftables"]
               if "counter" in item)


# A chain for each hook that the packets of nested_nft() pass.
NESTED = """
table ip bench {
	counter traversals { }
	chain input {
		type filter hook input priority 0; policy accept;
		counter name traversals
		tcp dport 81 reject with tcp reset
	}
	chain forward {
		type filter hook forward priority 0; policy accept;
		counter name traversals
		udp dport 9 dup to 10.0.2.2
	}
	chain output {
		type filter hook output priority 0; policy accept;
		counter name traversals
	}
}
"""


def in_situations(built, names, situations, nets, suffix=""):
    """Which events mechanisms lose: situations are functions that make calls. The rows have the
    names with this suffix."""
    for name in names:
        for situation, call in situations.items():
            # TRACE sees packets that a rule has marked, not all.
            if (name, situation) != ("TRACE", "nested"):
                shown = name.removesuffix(suffix) + suffix
                with_mechanism(built, "lost", name, nets,
                               lambda state, of=situation, call=call, shown=shown:
                               lost(state, of, call, shown))


def calls_of(net, name):
    """Returns a function that makes the calls of a file of the bench module in a namespace."""
    return lambda: int(in_net(net, "cat", str(FILES / name)))


def part_lost(built, names):
    """Which events a mechanism loses."""
    with tables(built, "patched"), rule_nets((1,)) as nets, three_hosts():
        hosts("ipt", "router", "-A", "INPUT", "-p", "tcp", "--dport", "81",
              "-j", "REJECT", "--reject-with", "tcp-reset")
        hosts("ipt", "router", "-t", "mangle", "-A", "FORWARD", "-p", "udp", "--dport", "9",
              "-j", "TEE", "--gateway", variable("server"))
        hosts("settle")
        write(mechanisms.PARAMETERS / "calls", 1000)
        in_situations(built, names or mechanisms.PLAIN,
                      {"plain": calls_of(nets[1], "plain"),
                       "kprobed": calls_of(nets[1], "kprobed"), "nested": nested}, nets.values())
    with tables(built, "patched"), rule_nets((1,), ("nft",)) as nets, three_hosts():
        mechanisms.load_nft("router", NESTED)
        hosts("settle")
        write(mechanisms.PARAMETERS / "calls", 1000)
        in_situations(built, [name for name in mechanisms.nft(names)
                              if name not in mechanisms.NFT_COST],
                      {"plain": calls_of(nets[1], "plain_nft"),
                       "kprobed": calls_of(nets[1], "kprobed_nft"), "nested": nested_nft},
                      (), "@nft")


def traversals():
    """Returns the number of traversals on all hosts: without rules, each ends in a policy."""
    return sum(map(int, re.findall(r"^:[A-Z]+ [A-Z]+ \[(\d+):", hosts("save_counters"), re.M)))


def packet(state, built, server):
    """Measures datagrams from the client to the server."""
    before = traversals()
    ticks = run(str(built / "packet"), "client", "server", server, "9").split()
    # It sends 111 batches of ten.
    row("packet", state.name, (traversals() - before) * 100 // 1110, *ticks)


def keep_neighbours(host):
    """Keeps IPv4 neighbours reachable: the output path of others is longer."""
    for link in json.loads(run("ip", "-n", host, "-json", "link")):
        in_net(host, "sysctl", "-qw",
               f"net.ipv4.neigh.{link['ifname']}.base_reachable_time_ms=3600000")


def part_packet(built, names):
    """What a packet costs through a router, if all hosts have all tables."""
    server = variable("server")
    for version, attached in (("unpatched", ["unpatched"]),
                              ("patched", ["off", *(names or mechanisms.ALL)])):
        with tables(built, version), three_hosts():
            for host in variable("hosts").split():
                keep_neighbours(host)
                for table in ("raw", "mangle", "nat", "filter", "security"):
                    hosts("ipt", host, "-t", table, "-L", "-n")
            for name in attached:
                # TRACE marks packets by a rule: not all, or not from the start.
                if name != "TRACE":
                    with_mechanism(built, "packet", name, (),
                                   lambda state: packet(state, built, server))


def parallel(state, number, net):
    """Measures one CPU, then two."""
    times = []
    for cpus in (1, 2):
        write(mechanisms.PARAMETERS / "cpus", cpus)
        times.append(in_net(net, "cat", str(FILES / "parallel")).strip())
    row("parallel", state.name, number, *times)


def part_parallel(built, names):
    """Whether CPUs wait for each other. Rounds begin with another mechanism each."""
    order = ["off", *(names or mechanisms.PLAIN)]
    with tables(built, "patched"), rule_nets((10,)) as nets:
        write(mechanisms.PARAMETERS / "calls", 1000)
        for number in range(ROUNDS):
            for name in order:
                with_mechanism(built, "parallel", name, nets.values(),
                               lambda state, of=number: parallel(state, of, nets[10]))
            order = order[3:] + order[:3]


def part_throughput(built, names):
    """The load that the router carries without a loss: exact under QEMU's -icount."""
    for version, attached in (("unpatched", ["unpatched"]),
                              ("patched", ["off", *(names or mechanisms.LOAD)])):
        with tables(built, version, bench=False):
            for rules in ROUTERS:
                with load.router(built / "module/ipt_load.ko", rules):
                    for name in attached:
                        if rules and name not in ("unpatched", "off", *mechanisms.FEW):
                            continue
                        with_mechanism(built, "throughput", name, (load.NET,),
                                       lambda state, of=rules:
                                       row("throughput", of, state.name, load.throughput()))


def latency(state, full):
    """Measures the router at each load, in per cent of its throughput."""
    for share in LOADS:
        rate = full * share // 100
        row("latency", state.name, share, rate, *load.latency(rate))


def part_latency(built, names):
    """How long packets take through the loaded router: exact under QEMU's -icount."""
    with tables(built, "patched", bench=False), load.router(built / "module/ipt_load.ko", 0):
        full = load.throughput()
        for name in ("off", *(names or mechanisms.FEW)):
            with_mechanism(built, "latency", name, (load.NET,), lambda state: latency(state, full))


def part_reading(_built, _names):
    """How long a read of stats takes, and what the module allocates per CPU."""
    tracing = pathlib.Path("/sys/kernel/tracing")
    enable = tracing / "events/percpu/percpu_alloc_percpu/enable"
    write(enable, 1)
    try:
        with subprocess.Popen(["modprobe", "iptverdict"]) as modprobe:
            pass
    finally:
        write(enable, 0)
    if modprobe.returncode:
        raise BenchError("modprobe iptverdict failed")
    sizes = re.findall(rf"-{modprobe.pid} .* size=(\d+) ", read(tracing / "trace"))
    for _ in range(ROUNDS):
        start = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        with open("/sys/kernel/debug/iptverdict/stats", "rb") as stats:
            stats.read()
        duration = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - start
        row("reading", os.sysconf("SC_NPROCESSORS_CONF"), duration, sum(map(int, sizes)))
    run("rmmod", "iptverdict")


def part_old(built, _names):
    """Throughput and latency on the old kernel, with its own tables."""
    def measure(state):
        row("throughput", 0, state.name, full if state.name == "off" else load.throughput())
        latency(state, full)

    with load.router(built / "old/ipt_load.ko", 0):
        full = load.throughput()
        for name in OLD:
            with_mechanism(built, "old", name, (load.NET,), measure)


def forward(state, number, packets):
    """Forwards packets."""
    result = pktgen.forward(packets)
    row("forward", state.name, number, result.rate, result.cycles, result.instructions)


def part_forward(built, names):
    """What one CPU forwards, with the tables of the running kernel. Rounds begin with another
    mechanism each."""
    order = ["off", *(names or mechanisms.FEW)]
    with pktgen.router():
        packets = pktgen.packets()
        for number in range(ROUNDS):
            for name in order:
                with_mechanism(built, "forward", name, (load.NET,),
                               lambda state, of=number: forward(state, of, packets))
            order = order[1:] + order[:1]


def part_hold(built, _names):
    """Forwards packets with the kretprobe, for the log of QEMU."""
    with load.router(built / "old/ipt_load.ko", 0):
        # Later, no flow is new.
        load.packets(1000)
        with_mechanism(built, "hold", OLD[1], (load.NET,),
                       lambda _state: row("held", load.packets(200)))


def scaling(state, number):
    """Measures the overloaded router with one CPU, then with two."""
    row("scaling", os.uname().release, state.name, number,
        *(round(load.overload(cpus, seconds=1)) for cpus in (1, 2)))


def part_scaling(built, _names):
    """How much more two CPUs forward than one. The old kernel has its own tables."""
    ours = os.uname().release.startswith(os.environ["KVER"])
    with contextlib.ExitStack() as undo:
        if ours:
            undo.enter_context(tables(built, "patched", bench=False))
        undo.enter_context(load.router(built / ("module" if ours else "old") / "ipt_load.ko", 0))
        for number in range(ROUNDS):
            for name in (*OLD, "iptverdict") if ours else OLD:
                with_mechanism(built, "scaling", name, (load.NET,),
                               lambda state, of=number: scaling(state, of))


PARTS = {name.removeprefix("part_"): function for name, function in globals().items()
         if name.startswith("part_")}


def mount(directory, kind):
    """Mounts a file system if the directory is none yet."""
    if not os.path.ismount(directory):
        run("mount", "-t", kind, "none", directory)


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("mechanisms", nargs="*")
    args = parser.parse_args()
    try:
        mount("/sys/fs/bpf", "bpf")
        mount("/sys/kernel/tracing", "tracefs")
        PARTS[args.part](args.dir, args.mechanisms)
    except (BenchError, OSError, ValueError) as error:
        sys.stderr.write(getattr(error, "output", ""))
        sys.exit(f"iptverdict: bench: {args.part}: {error}")
    except KeyboardInterrupt:
        sys.exit("iptverdict: bench: interrupted")


START = time.monotonic()

if __name__ == "__main__":
    main()
