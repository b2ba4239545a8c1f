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
	check "the module, $rules rules: at most 46 over off" at_most 46 ipv4 $rules iptverdict off
	for family in ipv4 ipv6 arp; do
		[[ $family-$rules == arp-1000 ]] ||
			check "$family, $rules rules: the module costs no more than its twin in C" \
				at_most 0 $family $rules iptverdict c_twin
	done
	check "off, $rules rules: at most one instruction" at_most 1 ipv4 $rules off unpatched
	check "IPv6, off, $rules rules: at most one" at_most 1 ipv6 $rules off unpatched
	check "the trace event, $rules rules: at most 320 over off" at_most 320 ipv4 $rules tp off
done
for rules in 1 10 100; do
	check "ARP, off, $rules rules: at most three, and two for each" \
		at_most $((3 + 2 * rules)) arp $rules off unpatched
done

# What the compiler made of the module's probes. Where those of several families
# are the same, it keeps only one.
"$REPO/tools/toolbox/enter" llvm-objdump --disassemble --no-show-raw-insn --no-leading-addr \
	"$OBJDIR/samples/rust/iptverdict.ko" |
	awk '/^<.*Tracepoint8callback.*>:$/ { probe = 1 } /^$/ { probe = 0 } probe' >"$out/probes.txt"
# instructions PATTERN [OPERANDS]: how many of them there are, by name and operands.
instructions() {
	awk -F'\t' -v name="$1" -v operands="${2:-}" \
		'$2 ~ "^(" name ")" && $3 ~ operands' "$out/probes.txt" | wc -l
}
probes=$(grep -c '^<' "$out/probes.txt" || :)
check_probe() {
	check "the module's probe: $1" test "${@:2}"
}
check_probe "is there" "$probes" -gt 0
check_probe "no call and no panic" "$(instructions 'call|ud2|int3')" = 0
check_probe "no stack frame" "$(($(instructions 'push|pop') + $(instructions '' '%[er][sb]p')))" = 0
check_probe "no locked instruction" "$(instructions 'lock|xchg|cmpxchg')" = 0
check_probe "one read-modify-write for each of two counters" \
	"$(instructions 'add|inc' '%gs:[^,]*(,[^,]*)?\\)$')" = $((2 * probes))
# The last operand is what is written, unless it is only compared.
check_probe "no other write to memory" \
	$(($(instructions '' '\\)$') - $(instructions 'cmp|test|nop' '\\)$'))) = $((2 * probes))

text_growth() {
	local from to
	read -r from to < <(sed -n 's/^The text .* from \([0-9]*\) to \([0-9]*\) bytes.$/\1 \2/p' "$out/cost.rst")
	echo "$from to $to bytes"
	((to > from && to - from < 2048))
}
check "less than 2 KiB of text" text_growth

done_testing
