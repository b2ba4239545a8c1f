#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""oracle.py SEED N RAW FEXIT: N random rulesets, each with random traffic, in the guest.

In the hosts of hosts.sh, run in the network namespace of the router, with the module
loaded and the directories RAW and FEXIT of pinned maps of the counting BPF programs.
After each ruleset, compares by table, chain and verdict: the module, the raw tracepoint,
what fexit saw returned, and the counters of iptables; by rule: the events and the
counters of iptables; and each event with a walk in user space.

The last line is "rulesets verdicts walked differences", with the numbers after it."""

import collections
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
sys.path.insert(0, os.path.join(HERE, "../selftests/iptverdict"))
import ruleset as iptables  # pylint: disable=wrong-import-position

CLIENT, SERVER, ROUTER = "10.0.1.2", "10.0.2.2", "10.0.1.1"
STATS = "/sys/kernel/debug/iptverdict/stats"
INSTANCE = "/sys/kernel/tracing/instances/oracle"
# As the programs number them: from three bits of the third letter of the name.
SLOTS = {ord(name[2]) >> 1 & 7: name for name in iptables.TABLES}
VERDICTS = iptables.VERDICTS


# Traffic.

def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Traffic:
    """Packets from the client, one at a time, each a connection of its own and each of a
    length that no other of its protocol has, by which events are told apart."""

    def __init__(self):
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        with open("/run/netns/client", encoding="ascii") as client:
            os.setns(client.fileno(), os.CLONE_NEWNET)
        self.sockets = {protocol: socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
                        for protocol in (1, 6, 17, 132)}
        with open("/run/netns/server", encoding="ascii") as server:
            os.setns(server.fileno(), os.CLONE_NEWNET)
        # Somebody listens: no errors come back.
        self.listeners = []
        for port in rulesets.PORTS:
            listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            listener.bind((SERVER, port))
            self.listeners.append(listener)
        os.setns(own, os.CLONE_NEWNET)
        os.close(own)
        # Ports and IDs that no ruleset has seen before.
        self.next_port = 20000

    def port(self):
        self.next_port = 20000 + (self.next_port - 19999) % 40000
        return self.next_port

    def send(self, rng):
        """Sends all that one ruleset gets. Returns the packets by protocol and length."""
        packets = {}

        def send(protocol, daddr, payload, **properties):
            key = (protocol, 20 + len(payload))
            assert key not in packets
            packets[key] = rulesets.Packet(protocol, CLIENT, daddr, **properties)
            self.sockets[protocol].sendto(payload, (daddr, 0))

        to = lambda: ROUTER if rng.random() < 0.25 else SERVER
        for size in rng.sample(range(1, 200), 40):
            daddr, sport, dport = to(), self.port(), rng.choice(rulesets.PORTS)
            send(17, daddr, struct.pack("!HHHH", sport, dport, 8 + size, 0) + bytes(size),
                 sport=sport, dport=dport)
        # Longer than an error of ICMP can be.
        for size in rng.sample(range(600, 800), 10):
            header = struct.pack("!BBHHH", 8, 0, 0, self.port(), 1)
            summed = header[:2] + struct.pack("!H", checksum(header + bytes(size))) + header[4:]
            send(1, to(), summed + bytes(size), icmp_type=8)
        # With data, as only ours have.
        for size in rng.sample(range(100, 200), 10):
            daddr, sport, dport = to(), self.port(), rng.choice(rulesets.PORTS)
            header = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 5 << 4, 2, 1024, 0, 0)
            pseudo = socket.inet_aton(CLIENT) + socket.inet_aton(daddr) + struct.pack(
                "!HH", 6, 20 + size)
            total = checksum(pseudo + header + bytes(size))
            send(6, daddr, header[:16] + struct.pack("!H", total) + header[18:] + bytes(size),
                 sport=sport, dport=dport, syn=True)
        # Too short for ports, and just not.
        for size in range(1, 7):
            dport = rng.choice(rulesets.PORTS)
            payload = struct.pack("!HHH", self.port(), dport, 0)[:size]
            send(132, to(), payload, short=size < 4, dport=None if size < 4 else dport)
        return packets


# What was counted, by table, chain and verdict: Counters of packets and of bytes.

def stats():
    with open(STATS, encoding="ascii") as lines:
        rows = [line.split() for line in lines][1:]
    counts = collections.Counter()
    for family, table, chain, verdict, packets, size in rows:
        if family == "ipv4":
            counts[table, chain, verdict, "packets"] += int(packets)
            counts[table, chain, verdict, "bytes"] += int(size)
    return counts


def program(directory):
    """The map of a BPF program."""
    dump = json.loads(subprocess.check_output(
        ["bpftool", "--json", "map", "dump", "pinned", f"{directory}/hits"]))
    counts = collections.Counter()
    for entry in dump:
        key = entry["formatted"]["key"]
        name = (SLOTS.get(key >> 6, "other"), (iptables.HOOKS + ["?"] * 3)[key >> 3 & 7],
                VERDICTS[min(key & 7, len(VERDICTS) - 1)])
        for cpu in entry["formatted"]["values"]:
            for kind in ("packets", "bytes"):
                counts[*name, kind] += cpu["value"][kind]
    return counts


def saved():
    """The counters of iptables: by verdict, and by table, chain and place."""
    text = subprocess.check_output(["iptables-legacy-save", "-c"], text=True)
    by_verdict = iptables.count_verdicts(text.splitlines())
    counts = collections.Counter({key[1:]: value for key, value in by_verdict.items()})
    places, table, numbers = {}, None, None
    for line in text.splitlines():
        words = line.split()
        if line.startswith("*"):
            table, numbers = line[1:], collections.Counter()
        elif line.startswith(":") and words[1] != "-":
            places[table, words[0][1:], "policy"] = iptables.parse_counters(words[2])[0]
        elif line.startswith("["):
            chain = words[2]
            numbers[chain] += 1
            places[table, chain, numbers[chain]] = iptables.parse_counters(words[0])[0]
    return counts, places


def settled(raw, fexit):
    """All counters, of one moment."""
    while True:
        before = stats()
        found = {"raw_tp": program(raw), "fexit": program(fexit)}
        found["iptables"], places = saved()
        found["module"] = stats()
        if found["module"] == before:
            return found, places
        time.sleep(0.2)


# Events.

EVENT = re.compile(r"ipt_verdict: table=(?P<table>\S+) hook=(?P<hook>\S+) verdict=(?P<verdict>\S+) "
                   r"(?P<kind>\S+)=(?P<number>\d+) rule=(?P<rule>-?\d+) in=(?P<indev>\S*) "
                   r"out=(?P<outdev>\S*) skbaddr=\S+ net_cookie=(?P<cookie>\d+) len=(?P<len>\d+) "
                   r"protocol=(?P<protocol>\d+) saddr=(?P<saddr>\S+) daddr=(?P<daddr>\S+)")


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def record(on):
    event = f"{INSTANCE}/events/iptables/ipt_verdict/enable"
    if on:
        write(f"{INSTANCE}/trace", "\n")
    write(event, "1" if on else "0")


def recorded(cookie):
    with open(f"{INSTANCE}/trace", encoding="ascii") as trace:
        found = [match.groupdict() for match in map(EVENT.search, trace) if match]
    for name in os.listdir(f"{INSTANCE}/per_cpu"):
        with open(f"{INSTANCE}/per_cpu/{name}/stats", encoding="ascii") as lines:
            assert "overrun: 0\n" in lines, "the buffer of the trace is too small"
    return [event for event in found if int(event["cookie"]) == cookie]


class Walk:
    """Follows the events of one ruleset."""

    def __init__(self, ruleset, packets):
        self.ruleset, self.packets, self.replies = ruleset, packets, {}
        for packet in packets.values():
            packet.mark, packet.state = 0, "NEW"

    def packet(self, event):
        """The packet of an event, as far as it is known."""
        protocol, key = int(event["protocol"]), (int(event["protocol"]), int(event["len"]))
        sent = self.packets.get(key)
        if not sent:
            packet = rulesets.Packet(protocol, "", "")
        elif event["saddr"] == CLIENT:
            packet = sent
        elif protocol == 1:
            # The answer to a request that a connection is known of, or not.
            if key not in self.replies:
                state = "INVALID" if sent.state == "UNTRACKED" else "ESTABLISHED"
                self.replies[key] = rulesets.Packet(1, "", "", icmp_type=0, mark=0, state=state)
            packet = self.replies[key]
        else:
            packet = rulesets.Packet(protocol, "", "")
        if protocol == 132:
            packet.state = None
        packet.saddr, packet.daddr = event["saddr"], event["daddr"]
        packet.indev, packet.outdev = event["indev"], event["outdev"]
        return packet

    def decide(self, event):
        """What the walk says of an event: chain, place and verdict; None if it does not know."""
        hook, packet = event["hook"], self.packet(event)
        before = packet.dport, packet.mark
        try:
            decided = self.ruleset[event["table"]].walk(hook, packet)
        except rulesets.Unknown:
            decided = packet.mark = packet.dport = None
        # A copy, too, passes in these: what becomes of it is not the packet's.
        if hook in ("OUTPUT", "POSTROUTING"):
            packet.dport, packet.mark = before
        return decided

    def rule(self, table, chain, place):
        return None if place == "policy" else self.ruleset[table].chains[chain][place - 1]

    def is_hot(self, event, rule):
        """Whether it is a match of the deciding rule that has dropped the packet, which is too
        short for it."""
        sent = self.packets.get((int(event["protocol"]), int(event["len"])))
        return bool(sent and sent.short and rule and rule.has_ports())


class Differences:
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
                          f"wanted {want.get(key, 0)}")


def run(seed, traffic, cookie, raw, fexit):
    """One ruleset. Returns the number of verdicts, of those walked, and of differences."""
    rng = random.Random(seed)
    ruleset = rulesets.any_ruleset(rng)
    text = rulesets.restore_text(ruleset)
    restore = subprocess.run(["iptables-legacy-restore"], input=text, text=True, check=False)
    if restore.returncode:
        sys.exit(f"iptables-restore does not take the ruleset of seed {seed}:\n{text}")
    entries = {name: {offset: (chain, place) for offset, chain, place, *_ in
                      iptables.entries(name, iptables.BLOBS["ipv4"])} for name in ruleset}

    before, places_before = settled(raw, fexit)
    record(True)
    if settled(raw, fexit)[0] != before:
        # A late answer to what came before.
        return run(seed, traffic, cookie, raw, fexit)
    packets = traffic.send(rng)
    time.sleep(0.1)
    after, places = settled(raw, fexit)
    record(False)
    events = recorded(cookie)

    found = Differences(f"seed {seed}")
    counted = {name: after[name] - before[name] for name in after}

    # Events beside the counters of verdicts, and of rules.
    by_verdict, by_place, hot = (collections.Counter() for _ in range(3))
    walked = 0
    walk = Walk(ruleset, packets)
    for event in events:
        verdict, key = event["verdict"], (event["table"], event["hook"], event["verdict"])
        size = {"packets": 1, "bytes": int(event["len"])}
        by_verdict.update({(*key, kind): value for kind, value in size.items()})
        at = entries[event["table"]].get(int(event["rule"]))
        if not at:
            found.note(f"no entry at the offset: {event}")
            continue
        rule = walk.rule(event["table"], *at)
        if walk.is_hot(event, rule):
            hot.update({(*key, kind): value for kind, value in size.items()})
        else:
            by_place[event["table"], *at] += 1

        if (at[1] == "policy") != (event["kind"] == "policy" and event["number"] == "1"):
            found.note(f"policy or not: {at} {event}")
        if verdict == "QUEUE" and (not rule or event["number"] != rule.argument.split()[1]):
            found.note(f"queue of {rule}: {event}")
        if verdict == "STOLEN":
            # There is no packet to walk for.
            if not rule or rule.target != "SYNPROXY":
                found.note(f"stolen by no SYNPROXY: {at} {event}")
            continue
        decided = walk.decide(event)
        walked += decided is not None
        if decided and decided != (*at, verdict):
            found.note(f"walk: {decided}, event: {at} {event}")

    found.compare("module, events", counted["module"], by_verdict)
    found.compare("raw_tp, module", counted["raw_tp"], counted["module"])
    found.compare("fexit, module", counted["fexit"], counted["module"])
    # iptables does not count hot drops.
    found.compare("module, iptables", counted["module"], counted["iptables"] + hot)
    for place, number in places.items():
        rule = walk.rule(*place)
        if not rule or rule.decides():
            found.compare("iptables, events", {place: number - places_before[place]},
                          {place: by_place[place]})
    if found.number:
        print("# the ruleset:", *text.splitlines(), sep="\n#   ")
    return len(events), walked, found.number


def main(seed, number, raw, fexit):
    cookie = int.from_bytes(socket.socket().getsockopt(socket.SOL_SOCKET, 71, 8), sys.byteorder)
    os.makedirs(INSTANCE, exist_ok=True)
    write(f"{INSTANCE}/buffer_size_kb", "8192")
    traffic = Traffic()
    total = collections.Counter()
    for i in range(number):
        verdicts, walked, differences = run(seed + i, traffic, cookie, raw, fexit)
        total.update(rulesets=1, verdicts=verdicts, walked=walked, differences=differences)
        if i % 10 == 9 or i == number - 1:
            print("#", *(f"{key} {value}" for key, value in total.items()), flush=True)
    os.rmdir(INSTANCE)
    print(*total, *total.values())


main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
