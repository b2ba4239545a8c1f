#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What README says of the cost, by the command that measures it.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

out=$BENCH
mechanisms="iptverdict c_twin raw_tp raw_tp+count tp fexit fexit+count kretprobe"
check "make bench, of the cost" make --no-print-directory -C "$REPO" bench PARTS=cost MECHANISMS="$mechanisms"
check "make bench, of what is lost" make --no-print-directory -C "$REPO" bench PARTS=lost \
	MECHANISMS="iptverdict raw_tp kretprobe"

# cost FAMILY RULES MECHANISM: instructions per call.
cost() {
	awk -F'\t' -v f="$1" -v r="$2" -v m="$3" \
		'$1 == "cost" && $2 == f && $3 == r && $4 == m { print $7 }' "$out/cost.tsv"
}

# at_most N FAMILY RULES MECHANISM OVER: what the one costs over the other.
at_most() {
	local difference
	difference=$(($(cost "$2" "$3" "$4") - $(cost "$2" "$3" "$5")))
	echo "$difference instructions"
	((difference <= $1))
}

# factor N FAMILY RULES MECHANISM OTHER: the one adds at most N hundredths of what
# the other adds to off.
factor() {
	local off one other
	off=$(cost "$2" "$3" off)
	one=$(($(cost "$2" "$3" "$4") - off))
	other=$(($(cost "$2" "$3" "$5") - off))
	echo "$one and $other instructions"
	((one > 0 && 100 * one <= $1 * other))
}

# same MECHANISM: adds the same with all sizes of rulesets.
same() {
	local rules
	for rules in 1 10 100 1000 10000; do
		echo $(($(cost ipv4 $rules "$1") - $(cost ipv4 $rules off)))
	done | sort -u | awk 'END { exit NR != 1 }'
}

# lost MECHANISM SITUATION: events, of all calls.
lost() {
	awk -F'\t' -v m="$1" -v s="$2" '$1 == "lost" && $2 == s && $3 == m { print $4 - $5, "of", $4 }' \
		"$out/lost.tsv"
}

nothing_skipped() {
	! grep -h ^skipped "$out"/*.tsv
}
check "all that was to be measured was" nothing_skipped

for rules in 1 10 100 1000 10000; do
	check "the module, $rules rules: at most 46 over off" at_most 46 ipv4 $rules iptverdict off
	check "off, $rules rules: at most one instruction" at_most 1 ipv4 $rules off unpatched
	check "the trace event, $rules rules: at most 320 over off" at_most 320 ipv4 $rules tp off
done
for family in ipv4 ipv6 arp; do
	for rules in 1 10; do
		check "$family, $rules rules: the module costs no more than its twin in C" \
			at_most 0 $family $rules iptverdict c_twin
	done
done
for rules in 1 10 1000; do
	check "IPv6, off, $rules rules: at most one" at_most 1 ipv6 $rules off unpatched
done
check "the module: a twelfth of a kretprobe" factor 8 ipv4 10 iptverdict kretprobe
check "the module: less than half of raw_tp that counts as much" factor 49 ipv4 10 iptverdict raw_tp+count
check "the module: less than half of fexit that counts as much" factor 49 ipv4 10 iptverdict fexit+count
check "raw_tp: less than fexit" factor 99 ipv4 10 raw_tp fexit
check "raw_tp: less than fexit, when both count" factor 99 ipv4 10 raw_tp+count fexit+count
for mechanism in $mechanisms; do
	check "$mechanism adds the same to 1 rule as to 10,000" same "$mechanism"
done
for situation in plain nested kprobed; do
	for mechanism in iptverdict raw_tp; do
		check "$mechanism loses none, $situation" test "$(lost $mechanism $situation)" != "" \
			-a "$(lost $mechanism $situation | cut -d' ' -f1)" = 0
	done
done
check "a kretprobe loses all while a kprobe is handled" test "$(lost kretprobe kprobed)" = "1000 of 1000"
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
