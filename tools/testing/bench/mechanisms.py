#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The mechanisms that the bench compares: attaches and detaches them, and reads what they saw.

A mechanism NAME+count is NAME with a BPF program that does the module's job: it counts packets
and bytes by table, chain and verdict. NAME@ipv6, NAME@arp and NAME@nft attach to the event, or
the function, of ip6tables, arptables and nftables. TOOLS are commands that report packets.

  mechanisms.py --list
      prints the names of all mechanisms for IPv4
  mechanisms.py --programs [NAME...]
      prints the BPF programs of these mechanisms, or of all: object, VIA, HOOK, COUNT"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types

# How each BPF program gets its arguments, and where it is attached; see bench.bpf.c.
BPF = {
    "raw_tp": ("RAW", "raw_tp/ipt_verdict"),
    "tp_btf": ("BTF", "tp_btf/ipt_verdict"),
    "tp": ("EVENT", "tp/iptables/ipt_verdict"),
    "fentry": ("ENTRY", "fentry/ipt_do_table"),
    "fexit": ("EXIT", "fexit/ipt_do_table"),
    "kprobe": ("KPROBE", "kprobe/ipt_do_table"),
    "kretprobe": ("KRETPROBE", "kretprobe/ipt_do_table"),
    "kprobe.multi": ("KPROBE", "kprobe.multi/ipt_do_table"),
    "kretprobe.multi": ("KRETPROBE", "kretprobe.multi/ipt_do_table"),
    "kprobe.session": ("SESSION", "kprobe.session/ipt_do_table"),
}
OTHER_FAMILIES = {
    "raw_tp@ipv6": ("RAW", "raw_tp/ip6t_verdict"),
    "raw_tp@arp": ("RAW", "raw_tp/arpt_verdict"),
    "tp@ipv6": ("EVENT", "tp/iptables/ip6t_verdict"),
    "tp@arp": ("EVENT", "tp/iptables/arpt_verdict"),
    "raw_tp@nft": ("RAW", "raw_tp/nft_verdict"),
    "tp_btf@nft": ("BTF", "tp_btf/nft_verdict"),
    "tp@nft": ("EVENT", "tp/nftables/nft_verdict"),
    "fentry@nft": ("ENTRY", "fentry/nft_do_chain"),
    "fexit@nft": ("EXIT", "fexit/nft_do_chain"),
    "kprobe@nft": ("KPROBE", "kprobe/nft_do_chain"),
    "kretprobe@nft": ("KRETPROBE", "kretprobe/nft_do_chain"),
}
# The command iptverdict, by its arguments: it reports a packet, passes over it for its verdict, its
# source or its port, or counts it.
COMMAND = {
    "watch": ("watch", "--all"),
    "watch-drops": ("watch",),
    "watch-src": ("watch", "--all", "--src", "203.0.113.1"),
    "watch-port": ("watch", "--all", "--port", "4711"),
    "top": ("top", "--once", "--interval", "3600"),
    "export": ("export", "--textfile", "/tmp/bench.prom", "--interval", "1"),
}
# Scripts of bpftrace: the sample drops.bt, and without its filter, as the bench has no drops; and
# what an operator's agent does, by a kretprobe and by the event.
SAMPLE = "drops.bt"
HEADING = 'BEGIN { printf("VERDICT PACKETS\\n"); } '
SCRIPTS = {
    SAMPLE: None,
    SAMPLE + "-all": None,
    "bpftrace-raw_tp": HEADING + "rawtracepoint:ipt_verdict { @[arg4 & 0xff] = count(); }",
    "bpftrace-kretprobe": HEADING + "kretprobe:ipt_do_table { @[retval & 0xff] = count(); }",
}
TOOLS = [*COMMAND, *SCRIPTS]
# Only their cost is measured: nftrace and counter are part of the ruleset.
NFT_COST = ["nftrace@nft", "counter@nft", *(name + "@nft" for name in COMMAND)]
NFT = ["iptverdict", "c_ref", *(name for name in OTHER_FAMILIES if name.endswith("@nft")),
       *NFT_COST]
# What is measured with a loaded router, and what is measured at each load and with each ruleset.
LOAD = ["iptverdict", "c_ref", *BPF, "bpftrace-raw_tp", "bpftrace-kretprobe", "event", "perf",
        "TRACE", "watch", "top", "export"]
FEW = ["iptverdict", "raw_tp", "fexit", "kretprobe", "bpftrace-raw_tp", "bpftrace-kretprobe"]
PLAIN = ["iptverdict", "c_ref", *BPF, "event", "perf", "TRACE"]
ALL = [*PLAIN, *(name + "+count" for name in BPF)]
# Removes the table of the bench.
FRESH = "table ip filter\ndelete table ip filter\n"
BASELINES = ("unpatched", "off")

SAMPLES = pathlib.Path(__file__).resolve().parents[3] / "samples/bpftrace"
LINKS = pathlib.Path("/sys/fs/bpf/bench")
MAPS = pathlib.Path("/sys/fs/bpf/bench_maps")
INSTANCE = pathlib.Path("/sys/kernel/tracing/instances/bench")
PARAMETERS = pathlib.Path("/sys/module/ipt_bench/parameters")


class BenchError(Exception):
    """A failure in one line; output is the full output of the failed command."""

    def __init__(self, text, output=""):
        super().__init__(text)
        self.output = output


def failure(command, output, status):
    """Returns the failure of a command: the last line that it printed."""
    lines = output.strip().splitlines() or [f"status {status}"]
    return BenchError(f"{command}: {lines[-1]}", output)


def run(*command):
    """Runs a command and returns what it printed on standard output."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", check=False)
    except OSError as error:
        raise BenchError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise failure(command[0], done.stdout + done.stderr, done.returncode)
    return done.stdout


def in_net(net, *command):
    """Runs a command in a network namespace; the mounts stay those of the caller."""
    return run("nsenter", f"--net=/run/netns/{net}", *command)


def write(path, value):
    """Writes to a file of the kernel."""
    pathlib.Path(path).write_text(f"{value}\n", encoding="ascii")


def read(path):
    """Returns the content of a file."""
    return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")


def wait_until(condition, what, seconds=60):
    """Waits until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise BenchError(f"waited {seconds} s: {what}")
        time.sleep(0.05)


def listen(undo, *command, **options):
    """Starts a process that detaching stops."""
    try:
        # pylint: disable-next=consider-using-with
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    except OSError as error:
        raise BenchError(f"{command[0]}: {error.strerror}") from error
    undo.callback(stop, process)
    return process


def stop(process):
    """Interrupts a process and waits for its end."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise BenchError(f"{process.args[0]} did not end within 60 s of SIGINT") from None


def attach(name, built, nets=()):
    """Attaches a mechanism. built: the directory with the programs of build-bench; nets: the
    network namespaces whose packets TRACE follows. Returns the state that detach(), seen() and
    misses() take."""
    state = types.SimpleNamespace(name=name, nets=nets)
    kind = name if name in ATTACH else "BPF"
    with contextlib.ExitStack() as undo:
        state.work = pathlib.Path(undo.enter_context(tempfile.TemporaryDirectory()))
        ATTACH[kind](state, pathlib.Path(built), undo)
        state.undo = undo.pop_all()
    return state


def settle(state):
    """Waits until the process of a tool has read all reports: a full buffer takes no more, which
    costs less."""
    def sleeps():
        tasks = pathlib.Path("/proc", str(state.tool.pid), "task").glob("*/stat")
        return all(read(task).rpartition(") ")[2].startswith("S") for task in tasks)
    if hasattr(state, "tool"):
        wait_until(sleeps, f"{state.name} is still reading")


def detach(state):
    """Detaches a mechanism and waits until the kernel has released it."""
    state.undo.close()


def attach_nothing(_state, _built, _undo):
    """For the baselines."""


def attach_module(_state, _built, undo):
    """Loads iptverdict."""
    run("modprobe", "iptverdict")
    undo.callback(run, "rmmod", "iptverdict")


def attach_reference(_state, built, undo):
    """Loads the C reference implementation."""
    run("insmod", str(built / "module/ipt_ref.ko"))
    undo.callback(run, "rmmod", "ipt_ref")


def attach_event(_state, _built, undo):
    """Enables the event in a trace instance of its own."""
    INSTANCE.mkdir()
    undo.callback(INSTANCE.rmdir)
    # Holds all events of a measurement.
    write(INSTANCE / "buffer_size_kb", 16384)
    enable = INSTANCE / "events/iptables/ipt_verdict/enable"
    undo.callback(write, enable, 0)
    write(enable, 1)


def attach_perf(state, _built, undo):
    """Starts perf record, and waits until it has enabled the event."""
    pipes = [*os.pipe(), *os.pipe()]
    for end in pipes:
        undo.callback(os.close, end)
    control, command, answer, ack = pipes
    log = state.work / "perf.log"
    with open(log, "wb") as out:
        state.listener = listen(
            undo, "perf", "record", "--quiet", "--all-cpus", "--event", "iptables:ipt_verdict",
            "--mmap-pages", "16M", "--delay=-1", "--control", f"fd:{control},{ack}",
            "--output", str(state.work / "perf.data"),
            stdout=out, stderr=out, pass_fds=(control, ack))
    os.write(command, b"enable\n")

    def enabled():
        if state.listener.poll() is not None:
            raise failure("perf", read(log), state.listener.returncode)
        return select.select([answer], [], [], 0)[0]
    wait_until(enabled, "perf has not enabled the event")


def attach_trace(state, _built, undo):
    """Logs the trace of packets with tcpdump. Marks all packets of the bench module as the target
    TRACE does, or lets a rule mark the packets of a network namespace."""
    run("modprobe", "nfnetlink_log")
    state.listeners = {}
    # A network namespace has its own logger, which gets no packets of others.
    for net in state.nets:
        undo.callback(in_net, net, "sysctl", "-qw", "net.netfilter.nf_log.2=NONE")
        in_net(net, "sysctl", "-qw", "net.netfilter.nf_log.2=nfnetlink_log")
        log = state.work / f"{net}.log"
        with open(log, "wb") as errors:
            process = listen(undo, "nsenter", f"--net=/run/netns/{net}", "tcpdump", "-B", "65536",
                             "-U", "-i", "nflog:0", "-w", str(state.work / f"{net}.pcap"),
                             stdout=errors, stderr=errors)
        wait_for_tcpdump(process, log)
        state.listeners[net] = process
    if PARAMETERS.exists():
        undo.callback(write, PARAMETERS / "trace", 0)
        write(PARAMETERS / "trace", 1)
        return
    for net in state.nets:
        rule = ("PREROUTING", "-j", "TRACE")
        in_net(net, "iptables-legacy", "-t", "raw", "-I", *rule)
        undo.callback(in_net, net, "iptables-legacy", "-t", "raw", "-D", *rule)


def wait_for_tcpdump(process, log):
    """Waits until tcpdump captures."""
    def listening():
        if process.poll() is not None:
            raise failure("tcpdump", read(log), process.returncode)
        return "listening on" in read(log)
    wait_until(listening, "tcpdump does not listen")


def nft(names):
    """Returns the mechanisms for nftables, or those of them with these names."""
    return [name for name in NFT if not names or name.partition("@")[0] in names]


def attach_nftrace(state, _built, undo):
    """Traces all packets of the input chains of nftables, with nft monitor trace."""
    state.listeners = {}
    for net in state.nets:
        log = state.work / f"{net}.log"
        with open(log, "wb") as out:
            process = listen(undo, "nsenter", f"--net=/run/netns/{net}", "nft", "monitor", "trace",
                             stdout=out, stderr=out)
        state.listeners[net] = process
        # The group of the messages: NFNLGRP_NFTRACE is the ninth.
        wait_until(lambda process=process, net=net: any(
            words[1] == "12" and words[2] == str(process.pid) and int(words[3], 16) & 1 << 8
            for words in map(str.split, in_net(net, "cat", "/proc/net/netlink").splitlines())),
            "nft monitor does not listen")
        added = in_net(net, "nft", "--echo", "--handle", "insert", "rule", "ip", "filter", "input",
                    "meta", "nftrace", "set", "1")
        undo.callback(in_net, net, "nft", "delete", "rule", "ip", "filter", "input", "handle",
                      re.search(r"# handle (\d+)", added)[1])


def attach_command(state, _built, undo):
    """Starts the command iptverdict, and waits until it has attached its BPF programs."""
    log = state.work / "command.log"
    with open(log, "wb") as errors:
        process = listen(undo, os.environ.get("COMMAND", "iptverdict"),
                         *COMMAND[state.name.partition("@")[0]],
                         stdout=subprocess.DEVNULL, stderr=errors)

    def attached():
        if process.poll() is not None:
            raise failure("iptverdict", read(log), process.returncode)
        return re.search("^iptverdict: (watching|counting)", read(log), re.M)
    wait_until(attached, "iptverdict has not attached its BPF programs")
    state.tool = process


def attach_bpftrace(state, _built, undo):
    """Starts a script of bpftrace, and waits until it has attached all its probes."""
    script = SCRIPTS[state.name] or read(SAMPLES / SAMPLE)
    if state.name == SAMPLE + "-all":
        script = re.sub("^/ args.verdict == 0 /\n", "", script, count=1, flags=re.M)
    (state.work / "script.bt").write_text(script, encoding="utf-8")
    log = state.work / "bpftrace.log"
    with open(log, "wb") as out:
        process = listen(undo, "bpftrace", "-B", "line", str(state.work / "script.bt"),
                         stdout=out, stderr=out)

    def attached():
        if process.poll() is not None:
            raise failure("bpftrace", read(log), process.returncode)
        # BEGIN prints it, when all other probes are attached.
        return re.search("^(TABLE|VERDICT) ", read(log), re.M)
    wait_until(attached, "bpftrace has not attached its probes")
    state.tool = process


def attach_counter(state, _built, undo):
    """Adds a counter at the beginning of each rule of the input chains of nftables."""
    for net in state.nets:
        before = in_net(net, "nft", "list", "table", "ip", "filter")
        load_nft(net, FRESH + before.replace("\tip saddr", "\tcounter ip saddr"))
        undo.callback(load_nft, net, FRESH + before)


def load_rules(net, ruleset, *command):
    """Loads a ruleset with a command that reads it."""
    done = subprocess.run(["nsenter", f"--net=/run/netns/{net}", *command],
                          input=ruleset, text=True, capture_output=True, check=False)
    if done.returncode:
        raise failure(command[0], done.stdout + done.stderr, done.returncode)


def load_nft(net, ruleset):
    """Loads a ruleset of nftables."""
    load_rules(net, ruleset, "nft", "-f", "-")


def attach_bpf(state, built, undo):
    """Loads a BPF program and pins its link and its map: names are not unique, and those of
    the previous program may still exist."""
    program = built / f"{state.name}.bpf.o"
    if not program.exists():
        raise BenchError(f"{program}: no such BPF program")
    if (built / "attach").exists():
        run(str(built / "attach"), str(program), str(LINKS), str(MAPS))
    else:
        run("bpftool", "prog", "loadall", str(program), str(LINKS), "pinmaps", str(MAPS),
            "autoattach")
    undo.callback(shutil.rmtree, MAPS)
    state.program = None
    undo.callback(unload_bpf, state)
    # Fails for a pinned program: bpftool pins one that it cannot attach.
    state.program = pinned_link()["prog_id"]


def unload_bpf(state):
    """Removes the link. The kernel releases it later, and its program after that."""
    shutil.rmtree(LINKS)
    if state.program is not None:
        wait_until(lambda: not loaded(state.program),
                   f"BPF program {state.program} is still loaded")


def loaded(program):
    """Returns whether the kernel has a BPF program with this id."""
    try:
        bpftool("prog", "show", "id", str(program))
    except BenchError:
        return False
    return True


def bpftool(*command):
    """Runs bpftool and returns its JSON output. Its exit status is unreliable."""
    done = subprocess.run(["bpftool", "--json", *command], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise BenchError(f"bpftool {' '.join(command)}: no JSON", done.stdout) from error
    if "error" in answer:
        raise BenchError(f"bpftool {' '.join(command)}: {answer['error']}")
    return answer


def pinned_link():
    """Returns what bpftool shows of the attached link."""
    link = bpftool("link", "show", "pinned", str(LINKS / "bench"))
    if "prog_id" not in link:
        raise BenchError(f"bpftool shows no program of the link: {link}")
    return link


ATTACH = {"unpatched": attach_nothing, "off": attach_nothing, "iptverdict": attach_module,
          "c_ref": attach_reference, "event": attach_event, "perf": attach_perf,
          "TRACE": attach_trace, "nftrace@nft": attach_nftrace, "counter@nft": attach_counter,
          "BPF": attach_bpf, **dict.fromkeys(SCRIPTS, attach_bpftrace),
          **{name + of: attach_command for name in COMMAND for of in ("", "@nft")}}


def seen(state):
    """Returns the number of events that the mechanism has seen, "-" if it does not count."""
    if state.name in (*BASELINES, "c_ref", *TOOLS):
        return "-"
    return SEEN.get(state.name, seen_by_bpf)(state)


def seen_by_module(_state):
    """Adds up the packets in the stats file."""
    lines = read("/sys/kernel/debug/iptverdict/stats").splitlines()
    return sum(int(line.split()[4]) for line in lines if line.startswith("ipv4 "))


def seen_by_event(_state):
    """Adds up the events that the ring buffer has, or had."""
    return sum(int(line.split()[1]) for stats in INSTANCE.glob("per_cpu/cpu*/stats")
               for line in read(stats).splitlines() if line.startswith(("entries:", "overrun:")))


def seen_by_perf(state):
    """Stops perf record and counts the events in its file."""
    stop(state.listener)
    return run("perf", "script", "--input", str(state.work / "perf.data")).count("ipt_verdict:")


def seen_by_trace(state):
    """Stops the listeners once they have written all packets, and counts these."""
    total = 0
    for net, process in state.listeners.items():
        wait_until(lambda net=net, process=process: drained(net, process),
                   "tcpdump has not read all packets")
        stop(process)
        total += len(run("tcpdump", "-n", "-r", str(state.work / f"{net}.pcap")).splitlines())
    return total


def drained(net, process):
    """Returns whether the kernel has no packet left for the listener, which sleeps."""
    queued = [line.split()[2] for line in
              in_net(net, "cat", "/proc/net/netfilter/nfnetlink_log").splitlines()]
    sockets = [line.split() for line in in_net(net, "cat", "/proc/net/netlink").splitlines()[1:]]
    netfilter = "12"
    return (not any(map(int, queued)) and
            not any(int(words[4]) for words in sockets if words[1] == netfilter) and
            read(f"/proc/{process.pid}/stat").rpartition(")")[2].split()[0] == "S")


def seen_by_bpf(_state):
    """Adds up the packets in the program's map."""
    entries = bpftool("map", "dump", "pinned", str(MAPS / "hits"))
    try:
        return sum(int(value["value"]["packets"]) for entry in entries
                   for value in entry["formatted"]["values"])
    except (KeyError, TypeError) as error:
        raise BenchError(f"bpftool map dump: unknown form of output: {error!r}") from error


SEEN = {"iptverdict": seen_by_module, "event": seen_by_event, "perf": seen_by_perf,
        "TRACE": seen_by_trace}


def misses(state):
    """Returns the number of events that the kernel counts as missed, "-" if it does not."""
    if "probe" not in state.name:
        return "-"
    program = bpftool("prog", "show", "id", str(state.program))
    return pinned_link().get("missed", 0) + program.get("recursion_misses", 0)


def programs(names):
    """Prints a line for each BPF program of these mechanisms."""
    known = BPF if names else BPF | OTHER_FAMILIES
    for name, (via, hook) in known.items():
        if not names or name in names:
            print(name, via, hook)
        if name in BPF and (not names or name + "+count" in names):
            print(name + "+count", via, hook, "COUNT")


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--list", action="store_true")
    action.add_argument("--programs", nargs="*", metavar="NAME")
    args = parser.parse_args()
    if args.list:
        print(*ALL, *TOOLS)
    else:
        programs(args.programs)


if __name__ == "__main__":
    sys.exit(main())
