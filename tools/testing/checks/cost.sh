#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What README says of the cost, by the command that measures it.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

out=$BUILD/bench
check "make bench" make --no-print-directory -C "$REPO" bench

# cost FAMILY RULES MECHANISM: instructions per call.
cost() {
	awk -v f="$1" -v r="$2" -v m="$3" '$1 == f && $2 == r && $3 == m { print $5 }' "$out/cost.tsv"
}

# at_most N FAMILY RULES MECHANISM OVER: what the one costs over the other.
at_most() {
	local difference
	difference=$(($(cost "$2" "$3" "$4") - $(cost "$2" "$3" "$5")))
	echo "$difference instructions"
	((difference <= $1))
}

for rules in 1 10 1000; do
	check "off, $rules rules: at most one instruction" at_most 1 ipv4 $rules off unpatched
	check "IPv6, off, $rules rules: at most one" at_most 1 ipv6 $rules off unpatched
	check "the trace event, $rules rules: at most 320 over off" at_most 320 ipv4 $rules tp off
done
for rules in 1 10 100; do
	check "ARP, off, $rules rules: at most three, and two for each" \
		at_most $((3 + 2 * rules)) arp $rules off unpatched
done
text_growth() {
	local from to
	read -r from to < <(sed -n 's/^The text .* from \([0-9]*\) to \([0-9]*\) bytes.$/\1 \2/p' "$out/cost.rst")
	echo "$from to $to bytes"
	((to > from && to - from < 2048))
}
check "less than 2 KiB of text" text_growth

done_testing
