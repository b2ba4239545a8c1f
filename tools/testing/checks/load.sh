#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What a router still forwards with the module, and with a kretprobe, as make bench measures it.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

out=$BENCH
check "make bench: PARTS=throughput succeeds" make --no-print-directory -C "$REPO" bench \
	PARTS=throughput MECHANISMS="iptverdict kretprobe"
nothing_skipped() {
	! grep ^skipped "$out/throughput.tsv"
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

done_testing
