#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""report.py DIR: of the measurements in DIR/*.tsv, makes results.json, the tables
bench.md and cost.rst, and the plots.

report.py --into DOCUMENT FILE: puts FILE into a document, between the lines
"bench: FILE" and "end of bench", which are comments there."""

import json
import os
import re
import statistics
import sys

# The columns of guest's lines, by their first word.
COLUMNS = {
    "cost": "family rules mechanism verdict best median worst cycles instructions",
    "packet": "mechanism calls best median worst",
    "lost": "situation mechanism calls seen misses",
    "parallel": "mechanism round one two",
    "reading": "possible_cpus nanoseconds bytes",
    "story": "kernel cpus mechanism round softirq median p99 unanswered sent arrived",
    "skipped": "part mechanism reason",
}

# What each mechanism can see of a verdict. A kretprobe has the return value only, a
# probe at entry comes before the verdict. None but the event knows the rule; the
# target TRACE tells each rule that a packet matches, but not what became of it.
ALL = "table chain verdict rule"
SEES = {
    "raw_tp": ALL, "tp_btf": ALL, "tp": ALL, "event": ALL, "perf": ALL,
    "iptverdict": "table chain verdict", "c_twin": "table chain verdict",
    "fentry": "table chain", "kprobe": "table chain", "kprobe.multi": "table chain",
    "fexit": "table chain verdict", "kprobe.session": "table chain verdict",
    "kretprobe": "verdict", "kretprobe.multi": "verdict", "TRACE": "table chain rule",
}
SITUATIONS = ("plain", "nested", "kprobed")
SMALL = ("iptverdict", "c_twin", "raw_tp", "tp")


def read(directory):
    """All measurements: a list of rows for each kind, and for "time", from a real CPU."""
    results = {}
    for name in sorted(os.listdir(directory)):
        if not name.endswith(".tsv"):
            continue
        with open(os.path.join(directory, name), encoding="utf-8") as lines:
            for line in lines:
                kind, *values = line.rstrip("\n").split("\t")
                columns = COLUMNS[kind].split()
                if len(values) != len(columns):
                    sys.exit(f"iptverdict: {name}: not a line of the bench: {line!r}")
                if kind == "cost" and name == "time.tsv":
                    kind = "time"
                results.setdefault(kind, []).append(
                    {key: number(value) for key, value in zip(columns, values)})
    return results


def number(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def markdown(rows, head):
    """A table; all columns but the first are of numbers, or short."""
    print("| " + " | ".join(head) + " |")
    print("| --- |" + " ---: |" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def label(mechanism):
    return mechanism.replace("+count", ", counting")


def by_mechanism(rows):
    found = {}
    for row in rows:
        found.setdefault(row["mechanism"], []).append(row)
    return found


def call_costs(results, family="ipv4"):
    """Instructions by mechanism and rules."""
    return {mechanism: {row["rules"]: row["median"] for row in rows}
            for mechanism, rows in by_mechanism(
                row for row in results["cost"] if row["family"] == family).items()}


def cost_table(results):
    costs = call_costs(results)
    sizes = sorted(costs["off"])
    off, module = costs["off"], costs["iptverdict"]
    spread = {(row["mechanism"], row["rules"]): row["worst"] - row["best"]
              for row in results["cost"] if row["family"] == "ipv4"}
    rows = []
    for mechanism, cost in costs.items():
        sees = SEES.get(mechanism.split("+")[0], "")
        if mechanism in ("unpatched", "off"):
            over = [cost[n] - costs["unpatched"][n] for n in sizes]
            rows.append([mechanism, cost[10], "", *(["-"] * len(sizes) if mechanism == "unpatched"
                        else [f"({n:+})" for n in over]), ""])
            continue
        over = [cost[n] - off[n] for n in sizes]
        ratio = over[1] / (module[10] - off[10])
        rows.append([label(mechanism), cost[10], f"{ratio:.1f}",
                     *(f"{n:+}" + ("*" if spread[mechanism, size] else "")
                       for n, size in zip(over, sizes)), sees])
    print("### A call of ipt_do_table()\n")
    print("Instructions. What is attached is given over off, off over unpatched; with 1 to 10,000\n"
          "rules that do not match, and the policy. \"counting\" does the module's job, as far as it\n"
          "sees it; the others add one to a per-CPU variable. *: not the same in all batches; the\n"
          "median.\n")
    markdown(rows, ["mechanism", "10 rules", "times the module"]
             + [f"over, {n:,}" for n in sizes] + ["sees"])


def small_table(results):
    """The table of the trace documentation, in reStructuredText."""
    rows = [["family", "rules", "unpatched", "off", *SMALL]]
    for family in ("ipv4", "ipv6", "arp"):
        costs = call_costs(results, family)
        for n in sorted(costs["off"]):
            if family == "ipv4" and n not in (1, 10, 1000):
                continue
            off = costs["off"][n]
            rows.append([family, str(n), str(costs["unpatched"][n]),
                         f"{off} ({off - costs['unpatched'][n]:+})",
                         *(f"{costs[name][n] - off:+}" if name in costs else "-" for name in SMALL)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
             for row in rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def time_table(results):
    print("### On a real CPU\n")
    print("Ticks of the time stamp counter for a call, with 10 rules; cycles and instructions as the\n"
          "CPU counts them.\n")
    markdown([[label(row["mechanism"]), row["best"], row["median"], row["worst"],
               *(f"{row[key] / 1000:.1f}" if row[key] != "-" else "-"
                 for key in ("cycles", "instructions"))]
              for row in results["time"] if row["family"] == "ipv4" and row["rules"] == 10],
             ["mechanism", "best", "median", "worst", "cycles", "instructions"])


def packet_table(results):
    rows = by_mechanism(results["packet"])
    off = rows["off"][0]["median"]
    print("### A packet\n")
    print("Instructions for a datagram of 100 bytes from a process in one network namespace through a\n"
          "router to a process in a third, with all tables and no rules: "
          f"{rows['off'][0]['calls'] / 100:g} calls of ipt_do_table().\n"
          "Median of 101 batches.\n")
    markdown([[label(name), of[0]["median"], f"{of[0]['median'] - off:+}",
               f"{100 * (of[0]['median'] - off) / off:+.1f} %"] for name, of in rows.items()],
             ["mechanism", "per packet", "over off", "share"])


def lost_table(results):
    print("### Lost events\n")
    print("Events lost of calls made: by themselves; with REJECT and TEE, which call the function\n"
          "inside of a call; in a softirq that comes while a kprobe is handled. misses: those that\n"
          "the mechanism reports itself.\n")
    rows = []
    for name, of in by_mechanism(results["lost"]).items():
        found = {row["situation"]: row for row in of}
        if of[0]["seen"] == "-":
            continue
        rows.append([name, *(f"{found[s]['calls'] - found[s]['seen']} of {found[s]['calls']}"
                             if s in found else "-" for s in SITUATIONS),
                     " ".join(str(found[s]["misses"]) for s in SITUATIONS if s in found)])
    markdown(rows, ["mechanism", *SITUATIONS, "misses"])


def speed_up(row):
    return 2 * row["one"] / row["two"]


def parallel_table(results):
    print("### Two CPUs at once\n")
    rows = by_mechanism(results["parallel"])
    print("How many calls two CPUs make in the time in which one makes one, by the clock:\n"
          f"{len(rows['off'])} interleaved rounds.\n")
    markdown([[name, f"{statistics.median(map(speed_up, of)):.2f}",
               f"{min(map(speed_up, of)):.2f} to {max(map(speed_up, of)):.2f}"]
              for name, of in rows.items()], ["mechanism", "median", "spread"])


def reading_table(results):
    print("### Reading the counters\n")
    print("A read of stats; and memory, allocated for each possible CPU.\n")
    found = {}
    for row in results["reading"]:
        found.setdefault(row["possible_cpus"], []).append(row)
    markdown([[cpus, *(f"{value / 1e6:.2f} ms" for value in (
        statistics.median(row["nanoseconds"] for row in rows),
        min(row["nanoseconds"] for row in rows), max(row["nanoseconds"] for row in rows))),
        f"{rows[0]['bytes']:,} bytes"] for cpus, rows in sorted(found.items())],
             ["possible CPUs", "median", "best", "worst", "per CPU"])


def stories(results):
    found = {}
    for row in results["story"]:
        found.setdefault((row["cpus"], row["kernel"], row["mechanism"]), []).append(row)
    return {key: {name: statistics.median(row[name] for row in rows)
                  for name in ("softirq", "median", "p99")} | {
                      "lost": sum(row["sent"] - row["arrived"] for row in rows),
                      "sent": sum(row["sent"] for row in rows)}
            for key, rows in sorted(found.items())}


def story_table(results):
    print("### Where it began\n")
    print("A stock kernel beside ours. Each CPU sends 4,000 datagrams a second through a router,\n"
          "which is pinged through, too; bpftrace has a kretprobe on ipt_do_table(). Medians of\n"
          "three interleaved rounds.\n")
    markdown([[kernel, cpus, mechanism, f"{of['softirq']:.1f} %", f"{of['median']:.2f} ms",
               f"{of['p99']:.2f} ms", f"{of['lost']} of {of['sent']}"]
              for (cpus, kernel, mechanism), of in stories(results).items()],
             ["kernel", "CPUs", "mechanism", "softirqs", "ping median", "ping p99", "lost packets"])


def summary(results):
    """The table of README: one row a mechanism, with its useful body where it has one."""
    costs = call_costs(results)
    off, module = costs["off"][10], costs["iptverdict"][10]
    lost = {row["mechanism"]: row["calls"] - row["seen"] for row in results["lost"]
            if row["situation"] == "kprobed" and row["seen"] != "-"}
    calls = {row["calls"] for row in results["lost"] if row["situation"] == "kprobed"}
    rows = []
    for name, cost in costs.items():
        full = costs.get(name + "+count", cost)[10]
        if name in ("unpatched", "off", "c_twin") or "+" in name:
            continue
        rows.append((full - off, name))
    markdown([[name, f"{over:+}", f"{over / (module - off):.1f}", lost.get(name, "-"), SEES[name]]
              for over, name in sorted(rows)],
             ["mechanism", "instructions per call", "times the module",
              f"lost of {'/'.join(map(str, calls))}", "sees"])


TABLES = {"cost": cost_table, "time": time_table, "packet": packet_table, "lost": lost_table,
          "parallel": parallel_table, "reading": reading_table, "story": story_table}


def bars(axes, names, series, unit, scale="linear"):
    """Horizontal bars, the first on top; series by label."""
    axes.set_xscale(scale)
    height = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        places = [y + (i - (len(series) - 1) / 2) * height for y in range(len(names))]
        drawn = axes.barh(places, [value or 0 for value in values], height, label=name)
        axes.bar_label(drawn, [f"{value:g}" if value else "" for value in values],
                       padding=2, fontsize=7)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    if len(series) > 1:
        axes.legend(frameon=False, loc="upper right")


def plot_cost(results, axes):
    costs = call_costs(results)
    over = {name: cost[10] - costs["off"][10] for name, cost in costs.items()}
    names = [name for name in over if name not in ("unpatched", "off") and "+" not in name]
    # These have one form, which does the job.
    ours = ("iptverdict", "c_twin")
    counting = {name: over.get(name if name in ours else name + "+count") for name in names}
    names.sort(key=lambda name: counting[name] or over[name])
    bars(axes, names, {"one increment, or a record": [None if name in ours else over[name]
                                                      for name in names],
                       "packets and bytes by what it sees": [counting[name] for name in names]},
         "instructions per call of ipt_do_table(), over off (10 rules; logarithmic)", "log")
    axes.set_xlim(left=10)


def plot_packet(results, axes):
    rows = by_mechanism(results["packet"])
    off = rows["off"][0]["median"]
    names = [name for name in rows if name not in ("unpatched", "off") and "+" not in name]
    names.sort(key=lambda name: rows[name][0]["median"])
    bars(axes, names, {"": [round(100 * (rows[name][0]["median"] - off) / off, 1)
                            for name in names]},
         "per cent over off, for a packet from socket to socket")


def plot_parallel(results, axes):
    rows = by_mechanism(results["parallel"])
    names = list(rows)
    values = [sorted(map(speed_up, rows[name])) for name in names]
    middle = [statistics.median(of) for of in values]
    axes.errorbar(middle, range(len(names)), fmt="o", capsize=3, xerr=[
        [m - of[0] for m, of in zip(middle, values)], [of[-1] - m for m, of in zip(middle, values)]])
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("calls by two CPUs for each by one: median and range")
    axes.spines[["top", "right"]].set_visible(False)


def plot_story(results, axes):
    found = stories(results)
    names = [f"{kernel.split('-')[0]}, {cpus} CPUs" if cpus > 1 else f"{kernel.split('-')[0]}, 1 CPU"
             for cpus, kernel, mechanism in found if mechanism == "off"]
    keys = [key for key in found if key[2] == "off"]
    bars(axes, names, {mechanism: [found.get((*key[:2], mechanism), {}).get("softirq")
                                   for key in keys]
                       for mechanism in ("off", "bpftrace", "iptverdict")},
         "per cent of the CPUs' time in softirqs")


PLOTS = {"cost": plot_cost, "packet": plot_packet, "parallel": plot_parallel, "story": plot_story}


def plot(results, directory):
    import matplotlib  # pylint: disable=import-outside-toplevel # is slow
    matplotlib.use("Agg")
    # The same measurements are the same file.
    matplotlib.rcParams["svg.hashsalt"] = "iptverdict"
    from matplotlib import pyplot  # pylint: disable=import-outside-toplevel
    for name, draw in PLOTS.items():
        if name not in results:
            continue
        figure, axes = pyplot.subplots(figsize=(8, 5.5), layout="constrained")
        draw(results, axes)
        figure.savefig(os.path.join(directory, name + ".svg"), metadata={"Date": None})
        figure.savefig(os.path.join(directory, name + ".png"), dpi=120)
        pyplot.close(figure)


def report(directory):
    results = read(directory)
    with open(os.path.join(directory, "conditions.txt"), encoding="utf-8") as lines:
        conditions = dict(line.rstrip("\n").split("\t") for line in lines)
    with open(os.path.join(directory, "results.json"), "w", encoding="utf-8") as out:
        json.dump({"conditions": conditions, **results}, out, indent=1)
        out.write("\n")

    with open(os.path.join(directory, "bench.md"), "w", encoding="utf-8") as sys.stdout:
        for kind, table in TABLES.items():
            if kind in results:
                table(results)
        for row in results.get("skipped", []):
            print(f"Not measured: {row['part']}, {row['mechanism']}: {row['reason']}\n")
        print("Measured on: " + "; ".join(f"{key}: {value}" for key, value in conditions.items())
              + ".")
        sys.stdout.flush()
    if "cost" in results and "lost" in results:
        with open(os.path.join(directory, "summary.md"), "w", encoding="utf-8") as sys.stdout:
            summary(results)
            sys.stdout.flush()
    sys.stdout = sys.__stdout__
    if "cost" in results:
        unpatched, patched = (conditions.get(f"text of ip_tables, {name}")
                              for name in ("unpatched", "patched"))
        with open(os.path.join(directory, "cost.rst"), "w", encoding="utf-8") as out:
            print(small_table(results), "",
                  f"The text of ip_tables grows from {unpatched} to {patched} bytes.",
                  f"Measured on {conditions['kernel']}, {conditions['compiler']}, "
                  f"CPU mitigations {conditions['CPU mitigations']}, BPF JIT on.",
                  sep="\n", file=out)
    plot(results, directory)


def into(document, path):
    name = os.path.basename(path)
    with open(path, encoding="utf-8") as text:
        new = text.read().strip()
    with open(document, encoding="utf-8") as text:
        old = text.read()
    changed, count = re.subn(
        rf"(^[^\n]*bench: {re.escape(name)}\b[^\n]*\n).*?(^[^\n]*end of bench)",
        lambda match: f"{match[1]}\n{new}\n\n{match[2]}", old, flags=re.S | re.M)
    if count != 1:
        sys.exit(f"iptverdict: {document} has no place for {name}")
    with open(document, "w", encoding="utf-8") as text:
        text.write(changed)


if sys.argv[1:2] == ["--into"] and len(sys.argv) == 4:
    into(*sys.argv[2:])
elif len(sys.argv) == 2:
    report(sys.argv[1])
else:
    sys.exit(__doc__)
