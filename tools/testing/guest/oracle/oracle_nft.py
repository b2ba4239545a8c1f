#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""oracle_nft.py SEED N: compares nft_verdict, the module, the counters of rules and "nft monitor
trace" on N random rulesets of nftables with traffic.

Runs in the network namespace of the router of hosts.sh, with the module loaded. All tables have
the same name, and each base chain begins with a counter, so events have to tell tables and rules
apart. The last line is "rulesets verdicts traced differences" followed by these four numbers."""

import collections
import json
import os
import random
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
SELFTESTS = os.path.join(HERE, "../../selftests/iptverdict")
CLIENT6, SERVER, SERVER6 = "fd00:1::2", "10.0.2.2", "fd00:2::2"
ROUTER, ROUTER6 = "10.0.1.1", "fd00:1::1"
MODULE = "/sys/kernel/debug/iptverdict"
INSTANCE = "/sys/kernel/tracing/instances/oracle"
EVENT = re.compile(r" nft_verdict: (.*)")
# The rows of the module, by NFPROTO_*.
FAMILIES = {"2": "ipv4", "3": "arp", "5": "netdev", "7": "bridge", "10": "ipv6"}
IP_HOOKS = ["prerouting", "input", "forward", "output", "postrouting"]
PORTS = range(1, 11)


class Ruleset:
    """A random ruleset. Each rule has a number, as its comment."""

    def __init__(self, rng):
        self.rng, self.rules, self.tables = rng, 0, {}
        for family in rng.sample(["inet", "ip", "ip6", "arp", "netdev"], rng.randint(2, 5)):
            self.tables[family] = self.table(family)

    def comment(self):
        self.rules += 1
        return f'comment "r{self.rules}"'

    def table(self, family):
        """Returns the text of a table."""
        lines, hooks = [], {"arp": ["input", "output"], "netdev": ["ingress", "egress"]}
        for i in range(self.rng.randint(1, 4)):
            hook = self.rng.choice(hooks.get(family, IP_HOOKS + ["ingress"] * (family == "inet")))
            # Jumps go to later chains only; nft wants these first.
            users = [f"base{i}user{j}" for j in range(self.rng.randrange(4))]
            for j in reversed(range(len(users))):
                lines += self.chain(users[j], (family, hook), users[j + 1:])
            device = ""
            if hook in ("ingress", "egress"):
                device = f'device "{self.rng.choice(["r0", "r1"])}" '
            policy = "drop" if self.rng.random() < 0.15 else "accept"
            head = [f"type filter hook {hook} {device}priority {self.rng.randint(-300, 300)}; "
                    f"policy {policy};", f"meta nftrace set 1 counter {self.comment()}"]
            lines += self.chain(f"base{i}", (family, hook), users, head)
        return lines

    def chain(self, name, place, users, head=()):
        rules = [self.rule(*place, users) for _ in range(self.rng.randrange(7))]
        return [f"chain {name} {{", *head, *rules, "}"]

    def match(self, family):
        """Returns a match."""
        rng = self.rng
        if family == "arp":
            return rng.choice(["arp operation request", "arp operation reply", 'iifname "r0"'])
        port = rng.choice(PORTS)
        return rng.choice([
            f"udp dport {port}", f"udp dport {{ {port}, {rng.choice(PORTS)} }}",
            f"udp dport {port}-{port + 3}", f"meta length > {rng.randrange(30, 130)}",
            "meta l4proto { icmp, icmpv6 }", "tcp flags syn", "meta mark 1",
            *(["ip saddr 10.0.1.0/24"] if family != "ip6" else ["ip6 saddr fd00:1::/64"]),
            *(["ct state new"] if family != "netdev" else [])])

    def rule(self, family, hook, users):
        """Returns a rule. The counter comes directly before the verdict."""
        rng = self.rng
        kinds = ["accept", "drop", "return", "mark", "mark", "accept"]
        if family not in ("arp", "netdev") and hook not in ("prerouting", "postrouting", "ingress"):
            kinds += ["reject", "queue"]
        if users:
            kinds += ["jump", "goto", "vmap"]
        kind = rng.choice(kinds)
        match = self.match(family)
        if kind == "vmap" and family != "arp":
            first, second, third = rng.sample(PORTS, 3)
            return (f"udp dport vmap {{ {first} : jump {rng.choice(users)}, {second} : drop, "
                    f"{third} : goto {rng.choice(users)} }} {self.comment()}")
        action = {"mark": "meta mark set 1", "queue": f"queue num {rng.randrange(9)} bypass",
                  "jump": f"jump {rng.choice(users or ['-'])}",
                  "goto": f"goto {rng.choice(users or ['-'])}", "vmap": "return"}.get(kind, kind)
        if action == "drop":
            # Packets are to get beyond the first rules.
            match = (f"udp dport {rng.choice(PORTS)}" if family != "arp"
                     else "arp operation reply")
        return f"{match} counter {action} {self.comment()}"

    def text(self, dormant):
        flags = ["flags dormant;"] if dormant else []
        return "\n".join(line for family, lines in self.tables.items()
                         for line in (f"table {family} t {{", *flags, *lines, "}")) + "\n"


def nft(*arguments, text=None):
    return subprocess.run(["nft", *arguments], input=text, text=True, check=True,
                          stdout=subprocess.PIPE).stdout


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def traffic():
    """Sends packets of all kinds from the client, and from the router itself."""
    client = ["nsenter", "--net=/run/netns/client"]
    def quietly(*command):
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    quietly(*client, "ip", "neigh", "flush", "dev", "c0")
    for address in (SERVER, SERVER6, ROUTER, ROUTER6):
        quietly(*client, f"{SELFTESTS}/send.py", address, "1-10", "0-39")
        quietly(*client, "ping", "-qc", "3", "-i", "0.01", "-W", "0.1", address)
        quietly(*client, "timeout", "0.2", "bash", "-c", f": <>/dev/tcp/{address}/81")
    quietly(f"{SELFTESTS}/send.py", SERVER, "1-10", "0-9")


def stats():
    with open(f"{MODULE}/stats", encoding="ascii") as file:
        return file.read()


def settle():
    """Waits until no packet has come for 0.3 seconds."""
    while True:
        before = stats()
        time.sleep(0.3)
        if stats() == before:
            return


def recorded():
    with open(f"{INSTANCE}/trace", encoding="ascii") as trace:
        found = [dict(pair.split("=") for pair in match[1].split())
                 for match in map(EVENT.search, trace) if match]
    for name in os.listdir(f"{INSTANCE}/per_cpu"):
        with open(f"{INSTANCE}/per_cpu/{name}/stats", encoding="ascii") as lines:
            if "overrun: 0\n" not in lines:
                sys.exit("iptverdict: the trace buffer is too small")
    return found


def parse_trace(text):
    """Returns how often each rule, by its number, or policy, by its family and chain, has decided
    according to nft monitor trace."""
    decided = collections.Counter()
    for line in text.splitlines():
        rule = re.match(r'trace id \w+ \S+ t \S+ rule .*comment "(r\d+)" '
                        r'\(verdict (accept|drop|queue)', line)
        policy = re.match(r"trace id \w+ (\S+) t (\S+) policy", line)
        if rule:
            decided[rule[1]] += 1
        elif policy:
            decided[policy[1], policy[2]] += 1
    return decided


class Comparison:
    """What one ruleset has to fulfil."""

    def __init__(self, seed):
        self.seed, self.differences = seed, 0

    def note(self, text):
        if not self.differences:
            print(f"# seed {self.seed}")
        self.differences += 1
        print(f"# {text}")

    def compare(self, what, got, want):
        for key in sorted(set(got) | set(want), key=str):
            if got.get(key, 0) != want.get(key, 0):
                self.note(f"{what}: {key}: {got.get(key, 0)}, expected {want.get(key, 0)}")

    def check(self, events, module, listed, traced):
        """Compares events, module, counters and trace."""
        decided, rows, chains = (collections.Counter() for _ in range(3))
        for event in events:
            base = event["family"], event["chain"]
            row = FAMILIES[event["pf"]], event["hook"].upper(), event["verdict"]
            rows[*row, "packets"] += 1
            rows[*row, "bytes"] += int(event["len"])
            chains[base] += 1
            if event["handle"] == "0":
                decided[base] += 1
                if event["policy"] != "1" or event["verdict"] != listed.policies[base]:
                    self.note(f"not the policy: {event}")
            elif (event["family"], event["handle"]) not in listed.names:
                self.note(f"no such rule: {event}")
            else:
                decided[listed.names[event["family"], event["handle"]]] += 1
        self.compare("events, counters of rules",
                     {name: decided[name] for name in listed.counters}, listed.counters)
        self.compare("events, counters of base chains", chains,
                     {base: listed.first[base] for base in listed.policies})
        self.compare("events, nft monitor trace", decided, traced)
        self.compare("module, events", parse_stats(module), rows)


class Listed:  # pylint: disable=too-few-public-methods
    """What nft lists of a ruleset."""

    def __init__(self, items):
        # The names of rules by family and handle; policies of base chains; counters of rules that
        # decide, by name, and of the first rules of chains.
        self.names, self.policies, self.counters, self.first = {}, {}, {}, {}
        for item in items:
            if "policy" in item.get("chain", ()):
                chain = item["chain"]
                self.policies[chain["family"], chain["name"]] = chain["policy"].upper()
            elif "rule" in item:
                self.add(item["rule"])

    def add(self, rule):
        """Adds a rule."""
        name = rule["comment"]
        self.names[rule["family"], str(rule["handle"])] = name
        counter = next((e["counter"]["packets"] for e in rule["expr"] if "counter" in e), 0)
        if any(word in e for word in ("accept", "drop", "reject", "queue") for e in rule["expr"]):
            self.counters[name] = counter
        self.first.setdefault((rule["family"], rule["chain"]), counter)


def parse_stats(text):
    """Returns what the module has counted for nftables."""
    counted = collections.Counter()
    for line in text.splitlines()[1:]:
        family, table, hook, verdict, packets, size = line.split()
        if table == "nftables":
            counted[family, hook, verdict, "packets"] = int(packets)
            counted[family, hook, verdict, "bytes"] = int(size)
    return counted


def run(seed):
    """Tests one ruleset. Returns the numbers of verdicts, of those traced, and of differences."""
    ruleset = Ruleset(random.Random(seed))
    nft("flush", "ruleset")
    # The tables become active when everything listens.
    nft("--file", "-", text=ruleset.text(dormant=True))
    event = f"{INSTANCE}/events/nftables/nft_verdict/enable"
    write(f"{INSTANCE}/trace", "\n")
    write(f"{MODULE}/reset", "1\n")
    write(event, "1")
    with open("/tmp/nft-trace", "w+", encoding="ascii") as output:
        with subprocess.Popen(["nft", "monitor", "trace"], stdout=output,
                              stderr=subprocess.STDOUT) as monitor:
            # nft has read the ruleset when it joins the groups.
            while not any(words[1] == "12" and words[2] == str(monitor.pid) and
                          int(words[3], 16) & 1 << 8 for words in map(str.split, netlink())):
                time.sleep(0.05)
            nft("--file", "-", text="".join(f"add table {name} t\n" for name in ruleset.tables))
            traffic()
            settle()
            # From here on, no packet meets a chain.
            nft("--file", "-", text="".join(f"add table {name} t {{ flags dormant; }}\n"
                                            for name in ruleset.tables))
            module, listed = stats(), json.loads(nft("--json", "--handle", "list", "ruleset"))
            write(event, "0")
            # Let it read what is queued, and print it: then it sleeps.
            while monitor.poll() is None and (
                    any(int(words[4]) for words in map(str.split, netlink()[1:])) or
                    not asleep(monitor.pid)):
                time.sleep(0.05)
            monitor.terminate()
        output.seek(0)
        traced = parse_trace(output.read())
    events = recorded()
    nft("flush", "ruleset")
    comparison = Comparison(seed)
    comparison.check(events, module, Listed(listed["nftables"]), traced)
    if comparison.differences:
        print("# the ruleset:", *ruleset.text(dormant=False).splitlines(), sep="\n#   ")
    return len(events), sum(traced.values()), comparison.differences


def asleep(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "S"


def netlink():
    with open("/proc/net/netlink", encoding="ascii") as lines:
        return list(lines)


def main(seed, number):
    os.makedirs(INSTANCE, exist_ok=True)
    write(f"{INSTANCE}/buffer_size_kb", "16384")
    total = collections.Counter()
    for i in range(number):
        verdicts, traced, differences = run(seed + i)
        total.update(rulesets=1, verdicts=verdicts, traced=traced, differences=differences)
        if i % 10 == 9 or i == number - 1:
            print("#", *(f"{key} {value}" for key, value in total.items()), flush=True)
    os.rmdir(INSTANCE)
    print(*total, *total.values())


main(int(sys.argv[1]), int(sys.argv[2]))
