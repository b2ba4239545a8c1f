#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What a router under load loses by the module, and by a kretprobe, as make bench measures it.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

out=$BENCH
check "make bench: PARTS='throughput latency' succeeds" make --no-print-directory -C "$REPO" bench \
	PARTS="throughput latency" MECHANISMS="iptverdict kretprobe"
nothing_skipped() {
	! grep -h ^skipped "$out"/{throughput,latency}.tsv
}
check "load: attaches all mechanisms" nothing_skipped

# rate RULES MECHANISM: prints the packets a second that the router forwards without a loss.
rate() {
	awk -F'\t' -v r="$1" -v m="$2" '$1 == "throughput" && $2 == r && $3 == m { print $4 }' "$out/throughput.tsv"
}
# between LOW HIGH RULES MECHANISM OTHER: succeeds if the rate with MECHANISM is between LOW and HIGH
# thousandths of that with OTHER.
between() {
	local rate other
	rate=$(rate "$3" "$4")
	other=$(rate "$3" "$5")
	echo "$rate and $other packets a second"
	((other > 0 && 1000 * rate >= $1 * other && 1000 * rate <= $2 * other))
}
# The search ends at half a per cent.
for rules in 0 100 1000; do
	check "load: off, $rules rules: at least what unpatched forwards" between 994 2000 $rules off unpatched
	check "load: iptverdict, $rules rules: at least 94 % of what off forwards" between 940 1006 $rules iptverdict off
done
check "load: kretprobe: at most 70 % of what off forwards" between 1 700 0 kretprobe off

# of COLUMN LOAD MECHANISM: prints a column: 5, delivered in per cent; 10, the 99th percentile of the
# round trip, in ns.
of() {
	awk -F'\t' -v c="$1" -v l="$2" -v m="$3" '$1 == "latency" && $2 == m && $3 == l { print $c }' "$out/latency.tsv"
}
# The router answers as when it is idle, or does not.
answers() {
	echo "delivered $(of 5 80 "$1") %, p99 $(of 10 80 "$1") ns, at a tenth $(of 10 10 "$1") ns"
	[[ $(of 5 80 "$1") == 100.00 ]] && (($(of 10 80 "$1") <= 2 * $(of 10 10 "$1")))
}
check "load: iptverdict, at 80 %: delivers all, p99 at most twice that at 10 %" answers iptverdict
loses() {
	! answers kretprobe && (($(of 10 80 kretprobe) > 10 * $(of 10 80 iptverdict)))
}
check "load: kretprobe, at 80 %: loses packets, p99 over ten times that of iptverdict" loses

done_testing
