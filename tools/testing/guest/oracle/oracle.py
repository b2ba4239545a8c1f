#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""oracle.py BACKEND SEED N [RAW FEXIT]: compares all counters on N random rulesets with random
traffic. BACKEND: legacy or nft, the iptables that loads them.

Runs in the network namespace of the router of hosts.sh, with the module loaded. RAW and FEXIT
are directories with the pinned maps of the counting BPF programs, for legacy. After each ruleset
it compares, by table, chain and verdict, the module, the raw tracepoint, what fexit saw returned,
and the counters of iptables; by rule, the events and the counters of iptables; and each event
with the evaluation of the ruleset in user space.

The last line is "rulesets verdicts evaluated differences" followed by these four numbers."""

import collections
import concurrent.futures
import ctypes
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import time

import rulesets

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../selftests/iptverdict"))
import ruleset as iptables  # pylint: disable=wrong-import-position

CLIENT, SERVER, ROUTER = "10.0.1.2", "10.0.2.2", "10.0.1.1"
STATS = "/sys/kernel/debug/iptverdict/stats"
INSTANCE = "/sys/kernel/tracing/instances/oracle"
# The BPF programs number the tables by three bits of the third letter of the name.
SLOTS = {ord(name[2]) >> 1 & 7: name for name in iptables.TABLES}
VERDICTS = iptables.VERDICTS


# Traffic.

def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def echo_request(size, identifier):
    header = struct.pack("!BBHHH", 8, 0, 0, identifier, 1)
    total = checksum(header + bytes(size))
    return header[:2] + struct.pack("!H", total) + header[4:] + bytes(size)


def syn(size, daddr, sport, dport):
    header = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 5 << 4, 2, 1024, 0, 0)
    pseudo = (socket.inet_aton(CLIENT) + socket.inet_aton(daddr) +
              struct.pack("!HH", 6, len(header) + size))
    total = checksum(pseudo + header + bytes(size))
    return header[:16] + struct.pack("!H", total) + header[18:] + bytes(size)


def enter(namespace):
    """Enters a network namespace. Python has os.setns() since 3.12; Debian 12 has 3.11."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, 0):
        raise OSError(ctypes.get_errno(), "setns")


class Traffic:
    """Sends packets from the client. Each is a connection of its own, and no other packet of its
    protocol has the same length, which identifies the packet of an event."""

    def __init__(self):
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        with open("/run/netns/client", encoding="ascii") as client:
            enter(client.fileno())
        self.sockets = {protocol: socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
                        for protocol in (1, 6, 17, 132)}
        with open("/run/netns/server", encoding="ascii") as server:
            enter(server.fileno())
        # With listeners, the server sends no ICMP errors.
        self.listeners = []
        for port in rulesets.PORTS:
            listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            listener.bind((SERVER, port))
            self.listeners.append(listener)
        enter(own)
        os.close(own)
        self.next_port = 20000

    def port(self):
        """Returns a port, or an ICMP identifier, that no earlier ruleset has seen."""
        self.next_port = 20000 + (self.next_port - 19999) % 40000
        return self.next_port

    def send(self, rng):
        """Sends the traffic for one ruleset. Returns its packets, by protocol and length."""
        packets = {}

        def send(protocol, daddr, payload, **properties):
            key = (protocol, 20 + len(payload))
            assert key not in packets
            packets[key] = rulesets.Packet(protocol, CLIENT, daddr, **properties)
            self.sockets[protocol].sendto(payload, (daddr, 0))

        def destination():
            return ROUTER if rng.random() < 0.25 else SERVER

        for size in rng.sample(range(1, 200), 40):
            daddr, sport, dport = destination(), self.port(), rng.choice(rulesets.PORTS)
            send(17, daddr, struct.pack("!HHHH", sport, dport, 8 + size, 0) + bytes(size),
                 sport=sport, dport=dport)
        # Longer than any ICMP error.
        for size in rng.sample(range(600, 800), 10):
            payload = echo_request(size, self.port())
            send(1, destination(), payload, icmp_type=8)
        # With data, which no other TCP packet has.
        for size in rng.sample(range(100, 200), 10):
            daddr, sport, dport = destination(), self.port(), rng.choice(rulesets.PORTS)
            send(6, daddr, syn(size, daddr, sport, dport), sport=sport, dport=dport, syn=True)
        # From too short for ports to just long enough.
        for size in range(1, 7):
            dport = rng.choice(rulesets.PORTS)
            payload = struct.pack("!HHH", self.port(), dport, 0)[:size]
            send(132, destination(), payload, short=size < 4,
                 dport=None if size < 4 else dport)
        return packets


class Legacy:
    """iptables-legacy."""

    save = ["iptables-legacy-save", "-c"]
    restore = ["iptables-legacy-restore"]
    system, event = "iptables", "ipt_verdict"

    @staticmethod
    def of_module(table):
        """Returns the table that the module counts verdicts of this table by."""
        return table

    @staticmethod
    def rules(table):
        """Returns the chain, and the number in it or "policy", of each rule in the kernel."""
        return {str(offset): (chain, place) for offset, chain, place, *_ in
                iptables.entries(table, iptables.BLOBS["ipv4"])}

    @staticmethod
    def place(event, rules):
        """Returns the chain, and the number in it or "policy", of the rule of an event."""
        return rules.get(event["rule"])


class Nft(Legacy):
    """iptables-nft: a rule of iptables is one of nftables, in a chain of the same name."""

    save = ["iptables-nft-save", "-c"]
    restore = ["iptables-nft-restore"]
    system, event = "nftables", "nft_verdict"

    @staticmethod
    def of_module(_table):
        return "nftables"

    @staticmethod
    def rules(table):
        listed = subprocess.run(["nft", "--json", "--handle", "list", "table", "ip", table],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        numbers, rules = collections.Counter(), {}
        for item in json.loads(listed.stdout)["nftables"]:
            if "rule" in item:
                rule = item["rule"]
                numbers[rule["chain"]] += 1
                rules[str(rule["handle"])] = (rule["chain"], numbers[rule["chain"]])
        return rules

    @staticmethod
    def place(event, rules):
        return (event["chain"], "policy") if event["handle"] == "0" else rules.get(event["handle"])


# The one that main() chooses.
BACKEND = Legacy


# Counters of packets and bytes, by table, chain and verdict.

def stats(maps):
    """Returns the counters of the module, of the raw tracepoint if there is none, or of iptables if
    there is neither."""
    if not os.path.exists(STATS):
        if maps:
            return parse_map(subprocess.check_output(dump(maps[0])))
        saved = subprocess.check_output(BACKEND.save, stderr=subprocess.DEVNULL)
        return parse_saved(saved.decode())[0]
    with open(STATS, encoding="ascii") as lines:
        rows = [line.split() for line in lines][1:]
    counts = collections.Counter()
    for family, table, chain, verdict, packets, size in rows:
        if family == "ipv4":
            counts[table, chain, verdict, "packets"] += int(packets)
            counts[table, chain, verdict, "bytes"] += int(size)
    return counts


def dump(directory):
    """Returns the command that dumps the map of a BPF program."""
    return ["bpftool", "--json", "map", "dump", "pinned", f"{directory}/hits"]


def parse_map(text):
    """Returns the counters of a BPF program, from the dump of its map."""
    counts = collections.Counter()
    for entry in json.loads(text):
        key = entry["formatted"]["key"]
        name = (SLOTS.get(key >> 6, "other"), (iptables.HOOKS + ["?"] * 3)[key >> 3 & 7],
                VERDICTS[min(key & 7, len(VERDICTS) - 1)])
        for cpu in entry["formatted"]["values"]:
            for kind in ("packets", "bytes"):
                counts[*name, kind] += cpu["value"][kind]
    return counts


def parse_saved(text):
    """Returns the counters of iptables: by verdict, and packets by place: table, chain and number
    of the rule or "policy"."""
    by_verdict = iptables.count_verdicts(text.splitlines())
    counts = collections.Counter({key[1:]: value for key, value in by_verdict.items()})
    places, numbers, table = collections.Counter(), collections.Counter(), None
    for line in text.splitlines():
        words = line.split()
        if line.startswith("*"):
            table = line[1:]
            numbers.clear()
        elif line.startswith(":") and words[1] != "-":
            places[table, words[0][1:], "policy"] = iptables.parse_counters(words[2])[0]
        elif line.startswith("["):
            chain = words[2]
            numbers[chain] += 1
            places[table, chain, numbers[chain]] = iptables.parse_counters(words[0])[0]
    return counts, places


def settled(maps):
    """Returns all counters as of one moment, after 0.1 seconds without a verdict."""
    commands = [BACKEND.save, *map(dump, maps)]
    while True:
        before = stats(maps)
        time.sleep(0.1)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            texts = list(pool.map(subprocess.check_output, commands))
        if stats(maps) == before:
            counts = dict(zip(("iptables", "places"), parse_saved(texts[0].decode())))
            counts.update(zip(("raw_tp", "fexit"), map(parse_map, texts[1:])))
            if os.path.exists(STATS):
                counts["module"] = before
            return counts


# Events.

EVENT = re.compile(r" (?:ipt|nft)_verdict: (.*)")


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def record(on):
    """Starts recording into an empty trace, or stops recording."""
    event = f"{INSTANCE}/events/{BACKEND.system}/{BACKEND.event}/enable"
    if on:
        write(f"{INSTANCE}/trace", "\n")
    write(event, "1" if on else "0")


def recorded(cookie):
    """Returns the events of the network namespace that has this cookie."""
    with open(f"{INSTANCE}/trace", encoding="ascii") as trace:
        found = [dict(pair.split("=") for pair in match[1].split())
                 for match in map(EVENT.search, trace) if match]
    for event in found:
        # As those of ipt_verdict.
        event["hook"] = event["hook"].upper()
        for address in ("saddr", "daddr"):
            event[address] = event[address].removeprefix("::ffff:")
    for name in os.listdir(f"{INSTANCE}/per_cpu"):
        with open(f"{INSTANCE}/per_cpu/{name}/stats", encoding="ascii") as lines:
            if "overrun: 0\n" not in lines:
                sys.exit("iptverdict: the trace buffer is too small")
    return [event for event in found if int(event["net_cookie"]) == cookie and event["pf"] == "2"]


class Model:
    """Evaluates one ruleset for the packets of its events."""

    def __init__(self, ruleset, packets):
        self.ruleset, self.packets, self.replies = ruleset, packets, {}
        for packet in packets.values():
            packet.mark, packet.state = 0, "NEW"

    def packet(self, event):
        """Returns the packet of an event, as far as it is known."""
        protocol, key = int(event["protocol"]), (int(event["protocol"]), int(event["len"]))
        sent = self.packets.get(key)
        if not sent:
            packet = rulesets.Packet(protocol, "", "")
        elif event["saddr"] == CLIENT:
            packet = sent
        elif protocol == 1:
            # The reply; its connection may be untracked.
            if key not in self.replies:
                state = "INVALID" if sent.state == "UNTRACKED" else "ESTABLISHED"
                self.replies[key] = rulesets.Packet(1, "", "", icmp_type=0, mark=0, state=state)
            packet = self.replies[key]
        else:
            packet = rulesets.Packet(protocol, "", "")
        if protocol == 132:
            packet.state = None
        packet.saddr, packet.daddr = event["saddr"], event["daddr"]
        packet.indev, packet.outdev = event["in"], event["out"]
        return packet

    def decide(self, event):
        """Returns chain, rule number and verdict that the model expects of an event, or None if
        they depend on something unknown."""
        hook, packet = event["hook"], self.packet(event)
        before = packet.dport, packet.mark
        try:
            decided = self.ruleset[event["table"]].evaluate(hook, packet)
        except rulesets.Unknown:
            decided = packet.mark = packet.dport = None
        # This may have been a copy by TEE, whose changes do not affect the packet.
        if hook in ("OUTPUT", "POSTROUTING"):
            packet.dport, packet.mark = before
        return decided

    def rule(self, table, chain, place):
        """Returns a rule, or None for a policy."""
        return None if place == "policy" else self.ruleset[table].chains[chain][place - 1]

    def is_hot_drop(self, event, rule):
        """Returns whether a match of the deciding rule dropped a packet that is too short."""
        sent = self.packets.get((int(event["protocol"]), int(event["len"])))
        return bool(sent and sent.short and rule and rule.has_ports())


class Differences:
    """Prints differences and counts them."""

    def __init__(self, context):
        self.context, self.number = context, 0

    def note(self, text):
        if not self.number:
            print(f"# {self.context}")
        self.number += 1
        print(f"# {text}")

    def compare(self, what, got, want):
        for key in sorted(set(got) | set(want), key=str):
            if got.get(key, 0) != want.get(key, 0):
                self.note(f"{what}: {' '.join(map(str, key))}: {got.get(key, 0)}, "
                          f"expected {want.get(key, 0)}")


class Events:
    """The events of one ruleset: checks them, and counts them by verdict and by place."""

    def __init__(self, ruleset, packets, found):
        self.model, self.found = Model(ruleset, packets), found
        self.rules = {name: BACKEND.rules(name) for name in ruleset}
        self.by_verdict, self.by_place, self.hot = (collections.Counter() for _ in range(3))
        self.evaluated = 0

    def add(self, event):
        """Checks and counts an event."""
        counts = {(event["table"], event["hook"], event["verdict"], kind): value
                  for kind, value in (("packets", 1), ("bytes", int(event["len"])))}
        self.by_verdict.update(counts)
        at = BACKEND.place(event, self.rules[event["table"]])
        if not at:
            self.found.note(f"no such rule: {event}")
            return
        rule = self.model.rule(event["table"], *at)
        if self.model.is_hot_drop(event, rule):
            self.hot.update(counts)
        else:
            self.by_place[event["table"], *at] += 1
        self.check(event, at, rule)

    def check(self, event, at, rule):
        """Checks the fields of an event against the deciding rule and the model."""
        verdict = event["verdict"]
        if (at[1] == "policy") != (event["policy"] == "1"):
            self.found.note(f"wrong policy flag: {at} {event}")
        if verdict == "QUEUE" and (not rule or event["queue"] != rule.argument.split()[1]):
            self.found.note(f"wrong queue, the rule is {rule}: {event}")
        if verdict == "STOLEN":
            # The event has no packet, so there is nothing to evaluate.
            if not rule or rule.target != "SYNPROXY":
                self.found.note(f"stolen, but not by SYNPROXY: {at} {event}")
            return
        decided = self.model.decide(event)
        self.evaluated += decided is not None
        if decided and decided != (*at, verdict):
            self.found.note(f"model: {decided}, event: {at} {event}")

    def compare(self, counted):
        """Compares these events and all counters with each other."""
        compare = self.found.compare
        for name in ("module", "raw_tp", "fexit"):
            if name in counted:
                wanted = collections.Counter()
                for (table, *rest), value in self.by_verdict.items():
                    wanted[BACKEND.of_module(table), *rest] += value
                compare(f"{name}, events", counted[name], wanted)
        # iptables does not count hot drops.
        compare("events, iptables", self.by_verdict, counted["iptables"] + self.hot)
        for place, number in counted["places"].items():
            rule = self.model.rule(*place)
            if not rule or rule.decides():
                compare("iptables, events", {place: number}, {place: self.by_place[place]})


def load(seed):
    """Generates the ruleset of this seed and loads it. Returns it, and the state of the random
    numbers for its traffic."""
    rng = random.Random(seed)
    ruleset = rulesets.any_ruleset(rng)
    text = rulesets.restore_text(ruleset)
    restore = subprocess.run(BACKEND.restore, input=text, text=True, check=False)
    if restore.returncode:
        sys.exit(f"iptverdict: iptables-restore rejects the ruleset of seed {seed}:\n{text}")
    return ruleset, rng


def start(seed, maps):
    """Loads the ruleset of this seed and starts recording. Returns what load() does, and all
    counters."""
    while True:
        ruleset, rng = load(seed)
        first, before = stats(maps), settled(maps)
        record(True)
        # Try again if a late packet of the previous ruleset came in between.
        if stats(maps) == first:
            return ruleset, rng, before


def run(seed, traffic, cookie, maps):
    """Tests one ruleset. Returns the numbers of verdicts, of those evaluated, and of
    differences."""
    ruleset, rng, before = start(seed, maps)
    packets = traffic.send(rng)
    counted = settled(maps)
    record(False)
    for name, counts in counted.items():
        counts.subtract(before[name])

    found = Differences(f"seed {seed}")
    events, verdicts = Events(ruleset, packets, found), recorded(cookie)
    for event in verdicts:
        events.add(event)
    events.compare(counted)
    if found.number:
        print("# the ruleset:", *rulesets.restore_text(ruleset).splitlines(), sep="\n#   ")
    return len(verdicts), events.evaluated, found.number


def main(backend, seed, number, *maps):
    global BACKEND  # pylint: disable=global-statement
    BACKEND = {"legacy": Legacy, "nft": Nft}[backend]
    cookie = int.from_bytes(socket.socket().getsockopt(socket.SOL_SOCKET, 71, 8), sys.byteorder)
    os.makedirs(INSTANCE, exist_ok=True)
    write(f"{INSTANCE}/buffer_size_kb", "8192")
    traffic = Traffic()
    total = collections.Counter()
    for i in range(number):
        verdicts, evaluated, differences = run(seed + i, traffic, cookie, maps)
        total.update(rulesets=1, verdicts=verdicts, evaluated=evaluated, differences=differences)
        if i % 10 == 9 or i == number - 1:
            print("#", *(f"{key} {value}" for key, value in total.items()), flush=True)
    os.rmdir(INSTANCE)
    print(*total, *total.values())


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
