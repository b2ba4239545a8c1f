#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The costs and losses that README states, as make bench measures them.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

out=$BENCH
mechanisms="iptverdict c_ref raw_tp raw_tp+count tp fexit fexit+count kretprobe"
check "make bench: PARTS=cost succeeds" make --no-print-directory -C "$REPO" bench PARTS=cost \
	MECHANISMS="$mechanisms watch watch-drops watch-src watch-port top"
# A BPF program that is attached while another, of the same names, ends.
check "make bench: PARTS=lost succeeds" make --no-print-directory -C "$REPO" bench PARTS=lost \
	MECHANISMS="iptverdict raw_tp kretprobe"

# cost FAMILY RULES MECHANISM: prints the instructions per call.
cost() {
	awk -F'\t' -v f="$1" -v r="$2" -v m="$3" \
		'$1 == "cost" && $2 == f && $3 == r && $4 == m { print $7 }' "$out/cost.tsv"
}

# at_most N FAMILY RULES MECHANISM OTHER: succeeds if MECHANISM costs at most N more than
# OTHER.
at_most() {
	local difference
	difference=$(($(cost "$2" "$3" "$4") - $(cost "$2" "$3" "$5")))
	echo "$difference instructions"
	((difference <= $1))
}

# factor N FAMILY RULES MECHANISM OTHER: succeeds if MECHANISM adds at most N per cent of
# what OTHER adds to off.
factor() {
	local off one other
	off=$(cost "$2" "$3" off)
	one=$(($(cost "$2" "$3" "$4") - off))
	other=$(($(cost "$2" "$3" "$5") - off))
	echo "$one and $other instructions"
	((one > 0 && 100 * one <= $1 * other))
}

# same MECHANISM: succeeds if it adds the same with rulesets of all sizes.
same() {
	local rules
	for rules in 1 10 100 1000 10000; do
		echo $(($(cost ipv4 $rules "$1") - $(cost ipv4 $rules off)))
	done | sort -u | awk 'END { exit NR != 1 }'
}

# lost MECHANISM SITUATION: prints the lost events, of all calls.
lost() {
	awk -F'\t' -v m="$1" -v s="$2" '$1 == "lost" && $2 == s && $3 == m { print $4 - $5, "of", $4 }' \
		"$out/lost.tsv"
}

nothing_skipped() {
	! cat "$out"/{cost,lost,time}.tsv 2>/dev/null | grep ^skipped
}
check "make bench: attaches all mechanisms" nothing_skipped

# The series removes a test of each rule.
for rules in 1 10 100 1000 10000; do
	check "cost: iptverdict, $rules rules: at most 42 over off" at_most 42 ipv4 $rules iptverdict off
	check "cost: off, $rules rules: two instructions per rule less than unpatched" \
		at_most $((-2 * rules)) ipv4 $rules off unpatched
	check "cost: tp, $rules rules: at most 330 over off" at_most 330 ipv4 $rules tp off
done
for family in ipv4 ipv6 arp; do
	for rules in 1 10; do
		check "cost: iptverdict, $family, $rules rules: at most the C reference implementation" \
			at_most 0 $family $rules iptverdict c_ref
	done
done
for rules in 1 10 1000; do
	check "cost: off, IPv6, $rules rules: less than unpatched" at_most -1 ipv6 $rules off unpatched
done
check "cost: iptverdict: at most a twelfth of kretprobe" factor 8 ipv4 10 iptverdict kretprobe
check "cost: iptverdict: less than half of raw_tp+count" factor 49 ipv4 10 iptverdict raw_tp+count
check "cost: iptverdict: less than half of fexit+count" factor 49 ipv4 10 iptverdict fexit+count
check "cost: raw_tp: less than fexit" factor 99 ipv4 10 raw_tp fexit
check "cost: raw_tp+count: less than fexit+count" factor 99 ipv4 10 raw_tp+count fexit+count
for mechanism in $mechanisms; do
	check "cost: $mechanism: independent of the number of rules" same "$mechanism"
done
for situation in plain nested kprobed; do
	for mechanism in iptverdict raw_tp; do
		check "lost: $mechanism, $situation: loses no event" test "$(lost $mechanism $situation)" != "" \
			-a "$(lost $mechanism $situation | cut -d' ' -f1)" = 0
	done
done
check "lost: kretprobe, kprobed: loses all events" test "$(lost kretprobe kprobed)" = "1000 of 1000"
for rules in 1 10 100; do
	check "cost: off, ARP, $rules rules: at most one instruction over unpatched" \
		at_most 1 arp $rules off unpatched
done

# nftables: the figures of Documentation/trace/events-nftables.rst.
for rules in 1 10 100 1000; do
	check "cost: off, nftables, $rules rules: one instruction over unpatched" \
		at_most 1 nft $rules off unpatched
	check "cost: iptverdict, nftables, $rules rules: at most 45 over off" at_most 45 nft $rules iptverdict off
	check "cost: iptverdict, nftables, $rules rules: at most the C reference implementation" \
		at_most 0 nft $rules iptverdict c_ref
	check "cost: raw_tp, nftables, $rules rules: at most 110 over off" at_most 110 nft $rules raw_tp off
	check "cost: tp, nftables, $rules rules: at most 361 over off" at_most 361 nft $rules tp off
done
check "cost: raw_tp, nftables: less than fexit" factor 99 nft 10 raw_tp fexit
for situation in plain nested kprobed; do
	for mechanism in iptverdict raw_tp; do
		check "lost: $mechanism, nftables, $situation: loses no event" \
			test "$(lost $mechanism@nft $situation | cut -d' ' -f1)" = 0
	done
done
check "lost: kretprobe, nftables, kprobed: loses all events" \
	test "$(lost kretprobe@nft kprobed)" = "1000 of 1000"

# The command. It does not wake its process for each packet, so a report costs less with more rules.
for family in ipv4 nft; do
	for rules in 1 10; do
		check "cost: watch, $family, $rules rules: a reported packet: at most 1,200 over off" \
			at_most 1200 $family $rules watch off
		for filter in drops src port; do
			check "cost: watch-$filter, $family, $rules rules: a packet that does not pass: at most 150 over off" \
				at_most 150 $family $rules watch-$filter off
		done
		check "cost: top, $family, $rules rules: a counted packet: at most 300 over off" \
			at_most 300 $family $rules top off
	done
done

# The machine code of the module's probes. The compiler merges identical probes of several
# families.
"$REPO/tools/toolbox/enter" llvm-objdump --disassemble --no-show-raw-insn --no-leading-addr \
	"$OBJDIR/samples/rust/iptverdict.ko" |
	awk '/^<.*Tracepoint8callback.*>:$/ { probe = 1 } /^$/ { probe = 0 } probe' >"$out/probes.txt"
# instructions PATTERN [OPERANDS]: prints the number of instructions with this name and
# these operands.
instructions() {
	awk -F'\t' -v name="$1" -v operands="${2:-}" \
		'$2 ~ "^(" name ")" && $3 ~ operands' "$out/probes.txt" | wc -l
}
probes=$(grep -c '^<' "$out/probes.txt" || :)
check_probe() {
	check "probe: $1" test "${@:2}"
}
check_probe "the modules contain probes" "$probes" -gt 0
check_probe "no call, no panic" "$(instructions 'call|ud2|int3')" = 0
check_probe "no stack frame" "$(($(instructions 'push|pop') + $(instructions '' '%[er][sb]p')))" = 0
check_probe "no locked instruction" "$(instructions 'lock|xchg|cmpxchg')" = 0
check_probe "one read-modify-write for each of two counters" \
	"$(instructions 'add|inc' '%gs:[^,]*(,[^,]*)?\\)$')" = $((2 * probes))
# The last operand is written, unless the instruction compares.
check_probe "no other write to memory" \
	$(($(instructions '' '\\)$') - $(instructions 'cmp|test|nop' '\\)$'))) = $((2 * probes))

# The module also runs on a kernel whose kernel crate lacks the code of the series.
new_symbols() {
	local symbols
	symbols=$("$REPO/tools/toolbox/enter" llvm-nm --undefined-only --just-symbol-name \
		"$OBJDIR/samples/rust/iptverdict.ko") || return 1
	! grep -E '^_R.*(6percpu|5probe|8iptables|9netfilter|6skbuff|5Entry3dir)' <<<"$symbols"
}
check "module: needs no symbol that the series adds to the kernel crate" new_symbols

text_growth() {
	local from to
	read -r from to < <(sed -n 's/^The text .* from \([0-9]*\) to \([0-9]*\) bytes.$/\1 \2/p' "$out/cost.rst")
	echo "$from to $to bytes"
	((to > from && to - from < 2048))
}
check "cost: the text of ip_tables grows by less than 2 KiB" text_growth

done_testing
