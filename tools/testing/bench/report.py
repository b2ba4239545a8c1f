#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""report.py DIR: from the measurements in DIR/*.tsv, writes results.json, the tables bench.md,
load.md, scaling.md, summary.md, cost.rst and cost-nft.rst, and the plots.

report.py --into DOCUMENT FILE: replaces the text between the lines "bench: FILE" and "end of
bench" of a document, which are comments there, with FILE."""

import contextlib
import json
import os
import re
import statistics
import sys

from mechanisms import COMMAND, TOOLS

# The columns of measure.py's lines, by their first word.
COLUMNS = {
    "cost": "family rules mechanism verdict best median worst cycles instructions",
    "stock": "kernel family rules mechanism verdict best median worst cycles instructions",
    "packet": "mechanism calls best median worst",
    "lost": "situation mechanism calls seen misses",
    "parallel": "mechanism round one two",
    "throughput": "rules mechanism rate",
    "latency": "mechanism load rate delivered busy pings lost median p99",
    "reading": "possible_cpus nanoseconds bytes",
    "hold": "function times instructions",
    "held": "packets",
    "forward": "mechanism round rate cycles instructions",
    "scaling": "kernel mechanism round one two",
    "skipped": "part mechanism reason",
}

# What each mechanism can see of a verdict. A kretprobe has only the return value, a probe at the
# entry runs before the verdict. Only the events know the rule; the target TRACE reports each
# rule that a packet matches, but not the verdict.
ALL = "table chain verdict rule"
SEES = {
    "raw_tp": ALL, "tp_btf": ALL, "tp": ALL, "event": ALL, "perf": ALL,
    "iptverdict": "table chain verdict", "c_ref": "table chain verdict",
    "fentry": "table chain", "kprobe": "table chain", "kprobe.multi": "table chain",
    "fexit": "table chain verdict", "kprobe.session": "table chain verdict",
    "kretprobe": "verdict", "kretprobe.multi": "verdict", "TRACE": "table chain rule",
    "nftrace": ALL, "counter": "rule",
}
# A CPU of the exact parts executes so many instructions a second.
INSTRUCTIONS = 10 ** 9
OLD_KRETPROBE = "bpftrace-kretprobe"
# Assumptions of the model: nanoseconds that a cache line takes from one CPU to another.
MOVES = (50, 100)
SITUATIONS = ("plain", "nested", "kprobed")
SMALL = ("iptverdict", "c_ref", "raw_tp", "tp")


class ReportError(Exception):
    """A failure, as one line."""


def read(directory):
    """Returns all measurements, as a list of rows for each kind. Costs on a real CPU are of the
    kind "time"; those of the old kernel are of kinds that begin with "old"."""
    results = {}
    for name in sorted(os.listdir(directory)):
        if not name.endswith(".tsv"):
            continue
        with open(os.path.join(directory, name), encoding="utf-8") as lines:
            for line in lines:
                kind, *values = line.rstrip("\n").split("\t")
                columns = COLUMNS.get(kind, "").split()
                if not columns or len(values) != len(columns):
                    raise ReportError(f"{name}: unknown line: {line.rstrip()}: run make bench")
                if kind == "cost" and name == "time.tsv":
                    kind = "time"
                elif name == "old.tsv" and kind != "skipped":
                    kind = "old " + kind
                results.setdefault(kind, []).append(
                    {key: number(value) for key, value in zip(columns, values)})
    return results


def number(text):
    """Returns the number that a column has, or its text."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def markdown(rows, head):
    """Prints a table; all columns but the first are numbers, or short."""
    print("| " + " | ".join(head) + " |")
    print("| --- |" + " ---: |" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def label(mechanism):
    """Returns how tables name a mechanism."""
    return mechanism.replace("+count", ", counting").replace("@nft", ", nftables")


def by_mechanism(rows):
    """Returns the rows of each mechanism."""
    found = {}
    for row in rows:
        found.setdefault(row["mechanism"], []).append(row)
    return found


def call_costs(results, family="ipv4", batch="median"):
    """Returns instructions by mechanism and number of rules, in the best, median or worst batch."""
    return {mechanism: {row["rules"]: row[batch] for row in rows}
            for mechanism, rows in by_mechanism(
                row for row in results["cost"] if row["family"] == family).items()}


def cost_table(results):
    """Prints the cost of a call of iptables, and of nftables."""
    print("### A call of ipt_do_table()\n")
    print("Instructions per call, with 1 to 10,000 rules that do not match, and the policy.\n"
          "Mechanisms are relative to off, off is relative to unpatched. \"counting\" does the\n"
          "module's job, as far as the mechanism sees the verdict; the others increment one\n"
          "per-CPU variable. *: batches differ; this is the median.\n")
    cost_of_family(results, "ipv4")
    if "off" in call_costs(results, "nft"):
        print("### A call of nft_do_chain()\n")
        print("The same for a base chain of nftables, with 1 to 1,000 rules that compare an\n"
              "address. nftrace: nft monitor trace, with a rule that marks all packets. counter:\n"
              "a counter at the beginning of each rule. Both are part of the ruleset.\n")
        cost_of_family(results, "nft")
    command_table(results)


def command_table(results):
    """Prints the cost of the command, and of other tools that report packets."""
    costs = {"iptables": call_costs(results, "ipv4", "worst"),
             "nftables": call_costs(results, "nft", "worst")}
    names = [name for name in (*TOOLS, "TRACE", "nftrace")
             if any(name in cost for cost in costs.values())]
    if not set(names) & set(COMMAND):
        return
    print("### The command iptverdict\n")
    print("Instructions per call, over off, in the worst batch: a report that wakes the command\n"
          "costs more than others. watch: watch --all, which reports the packet; watch-drops:\n"
          "watch, which passes over it, as it is accepted; watch-src, watch-port: watch --all\n"
          "--src or --port, which pass over it; top counts it by rule, export by\n"
          "table. drops.bt: the sample for bpftrace, which passes over the packet; drops.bt-all:\n"
          "it prints it; bpftrace-raw_tp, bpftrace-kretprobe: scripts of one line that count\n"
          "verdicts. TRACE and nftrace trace all packets.\n")
    markdown([[name, *(f"{cost[name][n] - cost['off'][n]:+}" if name in cost else "-"
                       for cost in costs.values() for n in (10, 1000))] for name in names],
             ["command", *(f"{of}, {n:,} rules" for of in costs for n in (10, 1000))])


def cost_of_family(results, family):
    """Prints the cost of a call, by mechanism and number of rules."""
    costs = call_costs(results, family)
    sizes = sorted(costs["off"])
    off = costs["off"]
    module = costs["iptverdict"][10] - off[10] if "iptverdict" in costs else None
    spread = {(row["mechanism"], row["rules"]): row["worst"] - row["best"]
              for row in results["cost"] if row["family"] == family}
    rows = []
    for mechanism, cost in costs.items():
        if mechanism in TOOLS:
            continue
        if mechanism in ("unpatched", "off"):
            over = [cost[n] - costs["unpatched"][n] for n in sizes]
            rows.append([mechanism, cost[10], "", *(["-"] * len(sizes) if mechanism == "unpatched"
                        else [f"({n:+})" for n in over]), ""])
            continue
        over = [cost[n] - off[n] for n in sizes]
        rows.append([label(mechanism), cost[10], f"{over[1] / module:.1f}" if module else "-",
                     *(f"{n:+}" + ("*" if spread[mechanism, size] else "")
                       for n, size in zip(over, sizes)), SEES.get(mechanism.split("+")[0], "")])
    markdown(rows, ["mechanism", "10 rules", "times the module"]
             + [f"over, {n:,}" for n in sizes] + ["sees"])


def small_table(results, families):
    """Returns the table of the trace documentation, in reStructuredText."""
    rows = [["family", "rules", "unpatched", "off", *SMALL]]
    for family in families:
        costs = call_costs(results, family)
        for n in sorted(costs.get("off", ())):
            if family == "ipv4" and n not in (1, 10, 1000):
                continue
            off = costs["off"][n]
            rows.append([family, str(n), str(costs["unpatched"][n]),
                         f"{off} ({off - costs['unpatched'][n]:+})",
                         *(f"{costs[name][n] - off:+}" if name in costs else "-"
                           for name in SMALL)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
             for row in rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def stock_table(results):
    """Prints the cost of a call on the kernels of a distribution."""
    calls = {}
    for row in results["stock"]:
        call = calls.setdefault((row["family"], row["kernel"], row["rules"]), {})
        call[row["mechanism"]] = row["median"]
    names = ["iptverdict", "raw_tp", "tp"]
    print("### Debian's own kernels\n")
    print("Instructions per call of ipt_do_table() (ipv4) and nft_do_chain() (nft), on kernels as\n"
          "Debian built them: with Debian's own modules, and with those of iptverdict-dkms.\n"
          "Mechanisms are relative to off, off is relative to Debian's own.\n")
    markdown([[kernel, family, rules, cost["unpatched"],
               f"{cost['off']} ({cost['off'] - cost['unpatched']:+})",
               *(f"{cost[name] - cost['off']:+}" if name in cost else "-" for name in names)]
              for (family, kernel, rules), cost in sorted(calls.items())],
             ["kernel", "family", "rules", "Debian's own", "off", *names])


def time_table(results):
    """Prints the cost of a call on a real CPU."""
    print("### On a real CPU\n")
    print("Ticks of the time stamp counter per call, with 10 rules; cycles and instructions as\n"
          "the CPU counts them.\n")
    markdown([[label(row["mechanism"]), row["best"], row["median"], row["worst"],
               *(f"{row[key] / 1000:.1f}" if row[key] != "-" else "-"
                 for key in ("cycles", "instructions"))]
              for row in results["time"] if row["family"] == "ipv4" and row["rules"] == 10],
             ["mechanism", "best", "median", "worst", "cycles", "instructions"])


def forward_table(results):
    """Prints what one CPU forwards."""
    rows = by_mechanism(results["forward"])
    off = statistics.median(row["rate"] for row in rows["off"])
    print("### What one CPU forwards\n")
    print("Packets a second that pktgen puts into the receive path of a router with the ruleset\n"
          "of the demonstration, as fast as the CPU forwards them; cycles and instructions for\n"
          f"each: medians of {len(rows['off'])} interleaved rounds.\n")
    table = []
    for name, of in rows.items():
        rates = sorted(row["rate"] for row in of)
        table.append([label(name), f"{statistics.median(rates):,.0f}",
                      f"{rates[0]:,} to {rates[-1]:,}",
                      f"{100 * statistics.median(rates) / off:.1f} %",
                      *("-" if any(row[key] == "-" for row in of) else
                        f"{statistics.median(row[key] for row in of):,.0f}"
                        for key in ("cycles", "instructions"))])
    markdown(table, ["mechanism", "packets a second", "range", "share", "cycles", "instructions"])


def packet_table(results):
    """Prints the cost of a packet."""
    rows = by_mechanism(results["packet"])
    off = rows["off"][0]["median"]
    print("### A packet\n")
    print("Instructions for a datagram of 100 bytes, from a process in one network namespace\n"
          "through a router to a process in a third, with all tables and no rules:\n"
          f"{rows['off'][0]['calls'] / 100:g} calls of ipt_do_table().\n"
          "Median of 101 batches.\n")
    markdown([[label(name), of[0]["median"], f"{of[0]['median'] - off:+}",
               f"{100 * (of[0]['median'] - off) / off:+.1f} %"] for name, of in rows.items()],
             ["mechanism", "per packet", "over off", "share"])


def lost_table(results):
    """Prints which events each mechanism loses."""
    print("### Lost events\n")
    print("Lost events, of all calls. plain: ordinary calls; nested: REJECT and TEE, or reject\n"
          "and dup of nftables, which call the function within a call; kprobed: calls in a\n"
          "softirq that interrupts a kprobe handler. misses: events that the kernel counts as\n"
          "missed.\n")
    rows = []
    for name, of in by_mechanism(results["lost"]).items():
        found = {row["situation"]: row for row in of}
        if of[0]["seen"] == "-":
            continue
        rows.append([label(name), *(f"{found[s]['calls'] - found[s]['seen']} of {found[s]['calls']}"
                             if s in found else "-" for s in SITUATIONS),
                     " ".join(str(found[s]["misses"]) for s in SITUATIONS if s in found)])
    markdown(rows, ["mechanism", *SITUATIONS, "misses"])


def speed_up(row):
    """Returns how many calls two CPUs make for each that one makes."""
    return 2 * row["one"] / row["two"]


def parallel_table(results):
    """Prints the speed-up by a second CPU."""
    print("### Two CPUs at once\n")
    rows = by_mechanism(results["parallel"])
    print("Calls by two CPUs in the time that one CPU needs for one call: "
          f"{len(rows['off'])} interleaved rounds.\n")
    markdown([[name, f"{statistics.median(map(speed_up, of)):.2f}",
               f"{min(map(speed_up, of)):.2f} to {max(map(speed_up, of)):.2f}"]
              for name, of in rows.items()], ["mechanism", "median", "spread"])


def throughput_table(results):
    """Prints the throughput without a loss, by mechanism and number of rules."""
    print("### The load that a router carries\n")
    print("Packets a second that the router forwards without a loss (RFC 2544, 26.1), with the\n"
          "ruleset of the demonstration, and with 100 and 1,000 rules more; the share of off.\n"
          "One CPU of 10^9 instructions a second; frames of 64 bytes; a ring of 1,024; trials of\n"
          "a second; to half a per cent.\n")
    rates = {}
    for row in results["throughput"]:
        rates.setdefault(row["mechanism"], {})[row["rules"]] = row["rate"]
    sizes = sorted(rates["off"])
    markdown([[label(name), *(cell for n in sizes for cell in (
        (f"{of[n]:,}", f"{100 * of[n] / rates['off'][n]:.1f} %") if n in of else ("-", "-")))]
              for name, of in rates.items()],
             ["mechanism", *(head for n in sizes for head in (f"+{n:,} rules", "share"))])


def latency_table(results):
    """Prints the round trip of pings through the loaded router."""
    print("### Latency under load\n")
    print("The same router, offered packets at a rate in per cent of the throughput of off; 100 a\n"
          "second are pings. The 99th percentile of their round trip, from the arrival of the\n"
          "request at the ring to the reply, in milliseconds; in brackets, the packets delivered,\n"
          "where they are not all.\n")
    latencies(results["latency"])


def latencies(rows):
    """Prints the 99th percentiles by load and mechanism."""
    found = {}
    for row in rows:
        found.setdefault(row["load"], {})[row["mechanism"]] = row
    names = list(next(iter(found.values())))
    markdown([[f"{load} %", f"{next(iter(of.values()))['rate']:,}", *(
        f"{of[name]['p99'] / 1e6:.2f}" + (f" ({of[name]['delivered']:.1f} %)"
                                          if of[name]["delivered"] < 100 else "")
        if name in of else "-" for name in names)] for load, of in found.items()],
             ["load", "packets a second", *map(label, names)])


def reading_table(results):
    """Prints the duration of a read, by the number of possible CPUs."""
    print("### Reading the counters\n")
    print("Duration of a read of stats; memory allocated per possible CPU.\n")
    found = {}
    for row in results["reading"]:
        found.setdefault(row["possible_cpus"], []).append(row)
    markdown([[cpus, *(f"{value / 1e6:.2f} ms" for value in (
        statistics.median(row["nanoseconds"] for row in rows),
        min(row["nanoseconds"] for row in rows), max(row["nanoseconds"] for row in rows))),
        f"{rows[0]['bytes']:,} bytes"] for cpus, rows in sorted(found.items())],
             ["possible CPUs", "median", "best", "worst", "per CPU"])


def old_table(results):
    """Prints throughput and latency of the old kernel."""
    print("### A kernel whose kretprobes take a lock\n")
    print("The same router on Debian's own 5.10, with its own tables.\n")
    rates = old_rates(results)
    markdown([[label(name), f"{rate:,}", f"{100 * rate / rates['off']:.1f} %"]
              for name, rate in rates.items()], ["mechanism", "packets a second", "share"])
    if "old latency" in results:
        latencies(results["old latency"])


def gains(results):
    """Returns how many times more two CPUs forward than one, sorted, by kernel and mechanism."""
    found = {}
    for row in results.get("scaling", ()):
        found.setdefault((row["kernel"], row["mechanism"]), []).append(row["two"] / row["one"])
    return {key: sorted(values) for key, values in sorted(found.items())}


def old_rates(results):
    """Returns the throughput on the old kernel, by mechanism."""
    return {row["mechanism"]: row["rate"] for row in results.get("old throughput", ())}


def lock(results):
    """Returns how often a packet takes the lock of a kretprobe on the old kernel, for how many
    instructions each, and how many instructions the packet takes in all."""
    packets = results["held"][0]["packets"]
    times = sum(row["times"] for row in results["hold"])
    held = sum(row["times"] * row["instructions"] for row in results["hold"])
    return times / packets, held / times, INSTRUCTIONS / old_rates(results)[OLD_KRETPROBE]


def with_lock(results, cpus, move=0):
    """Models the packets a second of a router with so many CPUs and a kretprobe. The CPUs are
    customers of a closed queueing network with one server, the lock: mean value analysis. When
    a CPU gets the lock from another, its cache line moves, which takes so many instructions."""
    times, held, packet = lock(results)
    service = times * (held + move * (cpus - 1) / cpus)
    queue = rate = 0
    for customers in range(1, cpus + 1):
        response = service * (1 + queue)
        rate = customers / (packet - times * held + response)
        queue = rate * response
    return rate * INSTRUCTIONS


def hold_table(results):
    """Prints what the lock of a kretprobe makes of many CPUs."""
    times, held, packet = lock(results)
    off = old_rates(results)["off"]
    print("### The lock of a kretprobe\n")
    print(f"In 5.10, a packet takes the lock of the kretprobe {times:g} times, for {held:.1f} "
          f"instructions each:\n{100 * times * held / packet:.1f} % of what it costs one CPU. "
          "What more CPUs forward is a **model**, in thousands of\npackets a second: without a "
          "probe, the rate of one CPU times the number of CPUs; with the\nkretprobe, if the lock "
          "costs only its instructions, and if each move of its cache line to\nanother CPU takes "
          + " or ".join(f"{move}" for move in MOVES) + " nanoseconds more.\n")
    markdown([[cpus, f"{cpus * off / 1000:,.0f}",
               *(f"{with_lock(results, cpus, move) / 1000:,.0f}" for move in (0, *MOVES))]
              for cpus in (1, 2, 4, 8, 16, 32, 48, 64)],
             ["CPUs", "off", "kretprobe, the lock alone",
              *(f"{move} ns a move" for move in MOVES)])


def scaling_table(results):
    """Prints what a second CPU adds to an overloaded router."""
    print("### A second CPU\n")
    found = gains(results)
    print("Packets that two CPUs forward for each that one forwards, when far more are offered:\n"
          f"median and range of {max(map(len, found.values()))} interleaved rounds, by the clock, "
          "with two CPUs of\nthe host.\n")
    markdown([[kernel, label(name), f"{statistics.median(values):.2f}",
               f"{values[0]:.2f} to {values[-1]:.2f}"] for (kernel, name), values in found.items()],
             ["kernel", "mechanism", "median", "range"])


def summary(results):
    """Prints the table of README: each mechanism as it counts, if it has such a program."""
    costs = call_costs(results)
    off, module = costs["off"][10], costs["iptverdict"][10]
    lost = {row["mechanism"]: row["calls"] - row["seen"] for row in results["lost"]
            if row["situation"] == "kprobed" and row["seen"] != "-"}
    calls = {row["calls"] for row in results["lost"] if row["situation"] == "kprobed"}
    rows = []
    for name, cost in costs.items():
        full = costs.get(name + "+count", cost)[10]
        if name in ("unpatched", "off", "c_ref", *TOOLS) or "+" in name:
            continue
        rows.append((full - off, name))
    markdown([[name, f"{over:+}", f"{over / (module - off):.1f}", lost.get(name, "-"), SEES[name]]
              for over, name in sorted(rows)],
             ["mechanism", "instructions per call", "times the module",
              f"lost of {'/'.join(map(str, calls))}", "sees"])


TABLES = {"cost": cost_table, "stock": stock_table, "time": time_table,
          "forward": forward_table,
          "packet": packet_table, "lost": lost_table,
          "reading": reading_table}
LOAD_TABLES = {"throughput": throughput_table, "latency": latency_table,
               "old throughput": old_table, "hold": hold_table}
# By the clock: for no document.
CLOCK_TABLES = {"parallel": parallel_table, "scaling": scaling_table}


BLUE, ORANGE, GREY = "#1f4e79", "#e08214", "#b8b8b8"


def label_rows(axes, names, unit):
    """Labels the axes; the first name is on top."""
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)


def legend_above(axes):
    """Puts the legend above the axes."""
    axes.figure.legend(frameon=False, loc="outside upper center", ncols=3)


def bars(axes, names, series, unit):
    """Draws horizontal bars, with a hatch for each series."""
    height = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        places = [y + (i - (len(series) - 1) / 2) * height for y in range(len(names))]
        drawn = axes.barh(places, [value or 0 for value in values], height, label=name,
                          color=(BLUE, ORANGE, GREY)[i], hatch=("", "///", "...")[i],
                          edgecolor="black", linewidth=0.5)
        axes.bar_label(drawn, [f"{value:.1f}" if value else "" for value in values],
                       padding=2, fontsize=7)
    axes.margins(x=0.08)
    label_rows(axes, names, unit)
    if len(series) > 1:
        legend_above(axes)


def plot_cost(results, axes):
    """Draws the cost of a call."""
    from matplotlib import ticker  # pylint: disable=import-outside-toplevel
    costs = call_costs(results)
    over = {name: cost[10] - costs["off"][10] for name, cost in costs.items()}
    names = [name for name in over
             if name not in ("unpatched", "off", *TOOLS) and "+" not in name]
    # These exist only in one form, which does the job.
    ours = ("iptverdict", "c_ref")
    counting = {name: over.get(name if name in ours else name + "+count") for name in names}
    names.sort(key=lambda name: counting[name] or over[name])
    axes.set_xscale("log")
    axes.plot([None if name in ours else over[name] for name in names], range(len(names)), "o",
              markersize=7, color=ORANGE, markerfacecolor="none", markeredgewidth=1.8, zorder=3,
              label="increments one variable, or writes a record")
    axes.plot([counting[name] for name in names], range(len(names)), "s", markersize=7,
              color=BLUE, label="counts packets and bytes by what it sees")
    for y, name in enumerate(names):
        low, high = sorted((over[name], counting[name] or over[name]))
        if low != high:
            axes.annotate(f"{low:g}", (low, y), (-8, 0), textcoords="offset points", ha="right",
                          va="center", fontsize=8)
        axes.annotate(f"{high:g}", (high, y), (8, 0), textcoords="offset points", va="center",
                      fontsize=8)
    shown = [over[name] for name in names]
    axes.set_xlim(min(shown) / 1.6, max(shown) * 1.6)
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    label_rows(axes, names,
               "instructions per call of ipt_do_table(), over off (10 rules; logarithmic)")
    legend_above(axes)


def plot_packet(results, axes):
    """Draws the cost of a packet."""
    rows = by_mechanism(results["packet"])
    off = rows["off"][0]["median"]
    names = [name for name in rows if name not in ("unpatched", "off") and "+" not in name]
    names.sort(key=lambda name: rows[name][0]["median"])
    bars(axes, names, {"": [round(100 * (rows[name][0]["median"] - off) / off, 1)
                            for name in names]},
         "per cent over off, for a packet from socket to socket")


def plot_throughput(results, axes):
    """Draws the throughput without a loss."""
    rates = {row["mechanism"]: row["rate"] for row in results["throughput"] if row["rules"] == 0}
    names = sorted((name for name in rates if name not in ("unpatched", "off")),
                   key=rates.get, reverse=True)
    bars(axes, names, {"": [round(100 * rates[name] / rates["off"], 1) for name in names]},
         "packets a second that a router forwards without a loss, in per cent of off")


def plot_latency(results, axes):
    """Draws the 99th percentile of pings against the offered load."""
    found = by_mechanism(results["latency"])
    styles = ("-", "--", "-.", ":", (0, (1, 3)), (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
    axes.set_yscale("log")
    for (name, rows), style, marker in zip(found.items(), styles, "os^vDPX"):
        axes.plot([row["rate"] / 1000 for row in rows], [row["p99"] / 1e6 for row in rows],
                  linestyle=style, marker=marker, markersize=5, label=label(name),
                  color=BLUE if name in ("off", "iptverdict") else
                  ORANGE if "kretprobe" in name else "#666666")
    axes.set_xlabel("offered load, in 1,000 packets a second")
    axes.set_ylabel("99th percentile of ping through the router, in ms (logarithmic)")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.6)
    legend_above(axes)


def plot_parallel(results, axes):
    """Draws the speed-up by a second CPU."""
    rows = by_mechanism(results["parallel"])
    names = list(rows)
    values = [sorted(map(speed_up, rows[name])) for name in names]
    middle = [statistics.median(of) for of in values]
    below = [m - of[0] for m, of in zip(middle, values)]
    above = [of[-1] - m for m, of in zip(middle, values)]
    axes.errorbar(middle, range(len(names)), fmt="o", color=BLUE, capsize=3, xerr=[below, above])
    for y, value in enumerate(middle):
        axes.annotate(f"{value:.2f}", (value, y), (0, 5), textcoords="offset points",
                      ha="center", fontsize=8)
    label_rows(axes, names, "calls by two CPUs for each call by one: median and range")


def plot_hold(results, axes):
    """Draws what many CPUs forward with the lock of a kretprobe: a model; and what was measured
    with one, and by the clock with two."""
    rates = old_rates(results)
    off = rates["off"]
    cpus = list(range(1, 65))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.plot(cpus, [of * off / 1000 for of in cpus], "-", color=BLUE,
              label="model: off")
    for move, style in zip((0, *MOVES), ("--", "-.", ":")):
        axes.plot(cpus, [with_lock(results, of, move) / 1000 for of in cpus], style, color=ORANGE,
                  label="model: kretprobe, " + (f"{move} ns each time its lock moves" if move
                                                else "its lock alone"))
    for name, marker, color in (("off", "o", BLUE), (OLD_KRETPROBE, "s", ORANGE)):
        rate = rates[name]
        axes.plot([1], [rate / 1000], marker, color=color, label=f"measured: {label(name)}")
        values = [rate / 1000 * gain for (kernel, mechanism), of in gains(results).items()
                  if kernel.startswith("5.10") and mechanism == name for gain in of]
        if values:
            middle = statistics.median(values)
            axes.errorbar([2 if name == "off" else 2.1], [middle], fmt=marker, color=color,
                          capsize=3, yerr=[[middle - min(values)], [max(values) - middle]])
    axes.set_xlabel("CPUs (logarithmic)")
    axes.set_ylabel("1,000 packets a second, Linux 5.10 (logarithmic)")
    axes.set_ylim(bottom=off / 4000)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False, loc="lower right", fontsize=9)


PLOTS = {"cost": plot_cost, "packet": plot_packet, "throughput": plot_throughput,
         "latency": plot_latency, "parallel": plot_parallel, "hold": plot_hold}


def plot(results, directory):
    """Draws all plots for which there are measurements, on white for GitHub's dark theme."""
    wanted = [name for name in PLOTS if name in results]
    if not wanted:
        return
    import matplotlib  # pylint: disable=import-outside-toplevel # make bench-here works without it
    matplotlib.use("Agg")
    # Makes the files reproducible.
    matplotlib.rcParams["svg.hashsalt"] = "iptverdict"
    from matplotlib import pyplot  # pylint: disable=import-outside-toplevel
    for name in wanted:
        figure, axes = pyplot.subplots(figsize=(8, 5.5), layout="constrained", facecolor="white")
        PLOTS[name](results, axes)
        figure.savefig(os.path.join(directory, name + ".svg"),
                       metadata={"Date": None, "Rights": "SPDX-License-Identifier: GPL-2.0"})
        figure.savefig(os.path.join(directory, name + ".png"), dpi=120)
        pyplot.close(figure)


@contextlib.contextmanager
def printing_to(directory, name):
    """Sends what is printed to a file."""
    with open(os.path.join(directory, name), "w", encoding="utf-8") as out:
        with contextlib.redirect_stdout(out):
            yield


def print_tables(tables, results, conditions):
    """Prints those of the tables for which there are measurements, and the conditions."""
    for kind, table in tables.items():
        if kind in results:
            table(results)
    for row in results.get("skipped", []):
        if row["part"] in tables:
            print(f"Not measured: {row['part']}, {row['mechanism']}: {row['reason']}\n")
    if any(kind in results for kind in tables):
        print("Measured on: " + "; ".join(f"{key}: {value}" for key, value in conditions.items())
              + ".")


def report(directory):
    """Writes all that DIR's measurements yield."""
    results = read(directory)
    # The model needs all of these.
    if "held" not in results or not {"off", OLD_KRETPROBE} <= set(old_rates(results)):
        results.pop("hold", None)
    with open(os.path.join(directory, "conditions.txt"), encoding="utf-8") as lines:
        conditions = dict(line.rstrip("\n").partition("\t")[::2] for line in lines)
    with printing_to(directory, "results.json"):
        print(json.dumps({"conditions": conditions, **results}, indent=1))

    for name, tables in (("bench.md", TABLES), ("load.md", LOAD_TABLES),
                         ("scaling.md", CLOCK_TABLES)):
        with printing_to(directory, name):
            print_tables(tables, results, conditions)
    if "cost" in results:
        if "lost" in results and "iptverdict" in call_costs(results):
            with printing_to(directory, "summary.md"):
                summary(results)
        for name, of, families in (("cost.rst", "ip_tables", ("ipv4", "ipv6", "arp")),
                                   ("cost-nft.rst", "nf_tables", ("nft",))):
            sizes = [conditions.get(f"text of {of}, {version}")
                     for version in ("unpatched", "patched")]
            with printing_to(directory, name):
                print(small_table(results, families), "",
                      f"The text of {of} grows from {sizes[0]} to {sizes[1]} bytes.",
                      f"Measured on {conditions.get('kernel')}, {conditions.get('compiler')}, "
                      f"CPU mitigations {conditions.get('CPU mitigations')}, BPF JIT on.", sep="\n")
    plot(results, directory)


def into(document, path):
    """Replaces the block of a file in a document."""
    name = os.path.basename(path)
    with open(path, encoding="utf-8") as text:
        new = text.read().strip()
    with open(document, encoding="utf-8") as text:
        old = text.read()
    changed, count = re.subn(
        rf"(^[^\n]*bench: {re.escape(name)}\b[^\n]*\n).*?(^[^\n]*end of bench)",
        lambda match: f"{match[1]}\n{new}\n\n{match[2]}", old, flags=re.S | re.M)
    if count != 1:
        raise ReportError(f'{document}: needs one block "bench: {name}"')
    with open(document, "w", encoding="utf-8") as text:
        text.write(changed)


def main(arguments):
    """The command line."""
    try:
        if arguments[:1] == ["--into"] and len(arguments) == 3:
            into(*arguments[1:])
        elif len(arguments) == 1 and arguments[0] not in ("-h", "--help"):
            report(arguments[0])
        else:
            sys.exit(__doc__)
    except OSError as error:
        sys.exit(f"iptverdict: {error.filename}: {error.strerror}")
    except ReportError as error:
        sys.exit(f"iptverdict: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except ImportError as error:
        sys.exit(f"iptverdict: no plots: {error}: install python3-matplotlib")


main(sys.argv[1:])
