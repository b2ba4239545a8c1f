# SPDX-License-Identifier: GPL-2.0
"""Random iptables rulesets and a user-space model that evaluates them: for a packet with
known properties, the deciding rule or policy and the verdict.

Unknown properties of a packet are None. An evaluation that would need one raises Unknown."""

from collections.abc import Callable
from dataclasses import dataclass, field

SERVER = "10.0.2.2"
TABLES = {
    "raw": ["PREROUTING", "OUTPUT"],
    "mangle": ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
    "nat": ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
    "filter": ["INPUT", "FORWARD", "OUTPUT"],
    "security": ["INPUT", "FORWARD", "OUTPUT"],
}
# The hooks where the model knows marks and connection states: copies made by TEE and packets
# that the router itself sends do not traverse them.
KNOWN = ("FORWARD", "INPUT")
PORTS = range(1, 13)
MARKS = range(1, 4)
STATES = ["NEW", "ESTABLISHED", "INVALID", "UNTRACKED"]

# The verdicts of the targets that decide whenever their rule matches.
VERDICT_OF = {
    "ACCEPT": "ACCEPT",
    "DROP": "DROP",
    "REJECT": "DROP",
    "NFQUEUE": "QUEUE",
    "DNAT": "ACCEPT",
    "MASQUERADE": "ACCEPT",
    "SYNPROXY": "STOLEN",
}


class Unknown(Exception):
    """The evaluation needs an unknown property of the packet."""


class HotDrop(Exception):
    """A match drops the packet (hotdrop)."""


@dataclass
class Packet:  # pylint: disable=too-many-instance-attributes
    """What the router can know about a packet, and what rules have done to it."""
    protocol: int
    saddr: str
    daddr: str
    sport: int | None = None
    dport: int | None = None
    short: bool = False         # too short to have ports
    syn: bool | None = None
    icmp_type: int | None = None
    mark: int | None = None
    state: str | None = None
    indev: str = ""
    outdev: str = ""


def known(value):
    if value is None:
        raise Unknown
    return value


@dataclass
class Match:
    """A match: its options for iptables, and a predicate on a packet."""
    text: str
    test: Callable

    def negated(self):
        option, rest = self.text.split(" ", 1)
        return Match(f"! {option} {rest}", lambda packet: not self.test(packet))


@dataclass
class Rule:
    """A rule: its matches, and its target as iptables writes it, or "" for none."""
    matches: list
    target: str
    argument: str = ""
    goto: bool = False

    def decides(self):
        """Returns whether the rule decides on every packet that it matches."""
        return self.target in VERDICT_OF

    def has_ports(self):
        """Returns whether the rule drops packets that are too short to have ports."""
        return any("multiport" in match.text for match in self.matches)

    def text(self, chain):
        words = [f"-A {chain}", *(match.text for match in self.matches)]
        if self.target:
            words.append(f"{'-g' if self.goto else '-j'} {self.target} {self.argument}".rstrip())
        return " ".join(words)

    def apply(self, packet):
        """Changes the packet as the target does."""
        if self.target == "CT":
            packet.state = "UNTRACKED"
        elif self.target == "MARK":
            packet.mark = int(self.argument.split()[1], 0)
        elif self.target == "DNAT":
            packet.daddr, port = self.argument.split()[1].split(":")
            packet.dport = int(port)


@dataclass
class Table:
    """The policies and the rules of a table, by chain."""
    policies: dict = field(default_factory=dict)
    chains: dict = field(default_factory=dict)

    def evaluate(self, hook, packet):
        """Returns the chain, the number of the deciding rule in it (from 1) or "policy", and
        the verdict as the event prints it."""
        stack, chain, number = [], hook, 0
        while True:
            if number == len(self.chains[chain]):
                if not stack:
                    return hook, "policy", self.policies[hook]
                chain, number = stack.pop()
                continue
            rule, number = self.chains[chain][number], number + 1
            try:
                if not all(match.test(packet) for match in rule.matches):
                    continue
            except HotDrop:
                return chain, number, "DROP"

            rule.apply(packet)
            if rule.decides():
                return chain, number, VERDICT_OF[rule.target]
            if rule.target == "RETURN":
                number = len(self.chains[chain])
            elif rule.target in self.chains:
                if not rule.goto:
                    stack.append((chain, number))
                chain, number = rule.target, 0


# Matches.

def ports(random, protocol):
    name = {6: "tcp", 17: "udp"}[protocol]
    low = random.choice(PORTS)
    high = min(low + random.randrange(4), PORTS[-1])
    return [Match(f"-p {name}", lambda packet: packet.protocol == protocol),
            Match(f"-m {name} --dport {low}:{high}",
                  lambda packet: low <= known(packet.dport) <= high)]


def multiport(random, protocol):
    wanted = sorted(random.sample(PORTS, 3))

    def test(packet):
        if packet.short:
            raise HotDrop
        return known(packet.dport) in wanted
    return [Match(f"-p {protocol}", lambda packet: packet.protocol == protocol),
            Match(f"-m multiport --dports {','.join(map(str, wanted))}", test)]


def address(random):
    option, of = random.choice([("-s", "saddr"), ("-d", "daddr")])
    prefix = random.choice(["10.0.1.", "10.0.2."])
    match = Match(f"{option} {prefix}0/24",
                  lambda packet: getattr(packet, of).startswith(prefix))
    return match.negated() if random.random() < 0.3 else match


def device(random, hook):
    incoming = hook in ("PREROUTING", "INPUT") or hook == "FORWARD" and random.random() < 0.5
    option, of = ("-i", "indev") if incoming else ("-o", "outdev")
    name = random.choice(["r0", "r1"])
    return Match(f"{option} {name}", lambda packet: getattr(packet, of) == name)


def mark(random):
    value = random.choice(MARKS)
    return Match(f"-m mark --mark {value:#x}", lambda packet: known(packet.mark) == value)


def state(random):
    wanted = random.sample(STATES, random.randint(1, 2))
    return Match(f"-m conntrack --ctstate {','.join(wanted)}",
                 lambda packet: known(packet.state) in wanted)


def icmp(random):
    kind = random.choice([8, 0])
    return [Match("-p icmp", lambda packet: packet.protocol == 1),
            Match(f"-m icmp --icmp-type {kind}", lambda packet: known(packet.icmp_type) == kind)]


def any_matches(random, table, hook):
    """Returns the matches of a rule in the order in which the kernel tests them: the IP header
    first."""
    first, then = [], []
    if random.random() < 0.3:
        first.append(address(random))
    if random.random() < 0.2:
        first.append(device(random, hook))
    kind = random.random()
    if kind < 0.4:
        protocol = ports(random, 17)
    elif kind < 0.5:
        protocol = ports(random, 6)
    elif kind < 0.6:
        protocol = icmp(random)
    elif kind < 0.7:
        protocol = multiport(random, 17)
    elif kind < 0.8:
        protocol = multiport(random, 132)
    else:
        protocol = []
    first += protocol[:1]
    then += protocol[1:]
    if hook in KNOWN and table != "nat":
        if random.random() < 0.15:
            then.append(mark(random))
        if random.random() < 0.15:
            then.append(state(random))
    return first + then


# Rules.

def any_target(random, table, hook):
    """Returns the target of a rule that is not a jump."""
    # Mostly targets that continue the traversal, so that packets get beyond the first rules.
    kinds = ["", "ACCEPT", "RETURN", "MARK", "MARK"]
    if table == "nat":
        kinds = ["", "ACCEPT", "RETURN"]
        if hook == "PREROUTING":
            kinds += ["DNAT", "DNAT"]
        if hook == "POSTROUTING":
            kinds += ["MASQUERADE"]
    else:
        kinds += ["DROP", "NFQUEUE"]
    if table == "filter" and hook in KNOWN:
        kinds += ["REJECT", "SYNPROXY", "SYNPROXY"]
    if table == "mangle" and hook in ("PREROUTING", "FORWARD"):
        kinds += ["TEE"]
    if table == "raw" and hook == "PREROUTING":
        kinds += ["CT", "CT"]
    return random.choice(kinds)


def any_rule(random, table, hook, below):
    """Returns a rule of a chain that may jump to the chains in the list below."""
    matches = any_matches(random, table, hook)
    if below and random.random() < 0.35:
        return Rule(matches, random.choice(below), goto=random.random() < 0.3)

    target = any_target(random, table, hook)
    if target in ("DROP", "ACCEPT", "NFQUEUE", "REJECT") and not matches:
        matches = ports(random, 17)
    argument = {
        "MARK": f"--set-mark {random.choice(MARKS):#x}",
        "NFQUEUE": f"--queue-num {random.randrange(1 << 16)}"
                   + random.choice(["", " --queue-bypass"]),
        "REJECT": "--reject-with icmp-port-unreachable",
        "TEE": f"--gateway {SERVER}",
        "CT": "--notrack",
        "DNAT": f"--to-destination {SERVER}:{random.choice(PORTS)}",
    }.get(target, "")
    # Only UDP: no host replies to the copies.
    if target in ("DNAT", "TEE"):
        matches = ports(random, 17)
    # A copy of a packet to the router can come back through lo and be copied again, forever.
    if target == "TEE":
        matches.insert(0, Match(f"-d {SERVER}", lambda packet: packet.daddr == SERVER))
    if target == "SYNPROXY":
        matches = [Match("-p tcp", lambda packet: packet.protocol == 6),
                   Match("-m tcp --syn", lambda packet: known(packet.syn)),
                   Match("-m conntrack --ctstate UNTRACKED",
                         lambda packet: known(packet.state) == "UNTRACKED")]
    return Rule(matches, target, argument)


def any_table(random, name):
    table = Table()
    for hook in TABLES[name]:
        drops = {"filter": 0.3, "nat": 0}.get(name, 0.05)
        table.policies[hook] = "DROP" if random.random() < drops else "ACCEPT"
        # Each hook has its own user chains, so that the counters of a rule belong to one hook.
        users = [f"{hook[:2]}{hook[-2:]}{i}" for i in range(random.randrange(5))]
        chains = [hook, *users]
        for i, chain in enumerate(chains):
            table.chains[chain] = [any_rule(random, name, hook, chains[i + 1:])
                                   for _ in range(random.randrange(7))]
    return table


def any_ruleset(random):
    """Returns all tables, by name."""
    ruleset = {name: any_table(random, name) for name in TABLES}
    # SYNPROXY takes only untracked packets.
    if random.random() < 0.5:
        tcp = Match("-p tcp", lambda packet: packet.protocol == 6)
        ruleset["raw"].chains["PREROUTING"].insert(0, Rule([tcp], "CT", "--notrack"))
    return ruleset


def restore_text(ruleset):
    """Returns the ruleset in the format of iptables-restore."""
    lines = []
    for name, table in ruleset.items():
        lines.append(f"*{name}")
        lines += [f":{chain} {table.policies.get(chain, '-')}" for chain in table.chains]
        for chain, rules in table.chains.items():
            lines += [rule.text(chain) for rule in rules]
        lines.append("COMMIT")
    return "\n".join(lines) + "\n"
