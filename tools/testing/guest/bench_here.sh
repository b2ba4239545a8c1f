#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# make bench-here, on a machine that runs a patched kernel: this guest, which is too slow to
# build anything.
#
# needs CONFIG_RUST

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

dir=$REPO/tools/testing/bench
built=$BENCH
# bench_here MECHANISM...: runs make bench-here.
bench_here() {
	make --no-print-directory -C "$REPO" bench-here BUILT="$built" MECHANISMS="$*" 2>&1
}

# error MECHANISM...: prints the error message of make bench-here.
error() {
	bench_here "$@" | sed -n 's/^iptverdict: //p'
}

modprobe iptverdict
check "bench-here: refuses to run while iptverdict is loaded" "$(error raw_tp)" \
	"the module iptverdict is loaded: rmmod iptverdict first"
rmmod iptverdict
# A module whose vermagic is that of another kernel.
mkdir -p "$work/other/module"
sed 's/vermagic=./vermagic=0/' "$BENCH/module/ipt_bench.ko" >"$work/other/module/ipt_bench.ko"
built=$work/other
check "bench-here: rejects modules that were built for another kernel" "$(error raw_tp)" \
	"BUILT=$built was built for another kernel than this $(uname -r): Invalid module format"
built=$BENCH
check "bench-here: rejects an unknown mechanism" "$(error raw_tb)" \
	"unknown mechanism: raw_tb; use one of: $("$dir/mechanisms.py" --list)"

bench_here iptverdict raw_tp+count >"$work/bench" || sed 's/^/# /' "$work/bench"
check "bench-here: prints a row for each mechanism" \
	"$(sed -n 's/^| \([a-z_, ]*\) | [0-9]* | [0-9]* | [0-9]* | [-0-9.]* | [-0-9.]* |$/\1/p' "$work/bench")" \
	$'off\niptverdict\nraw_tp, counting'
check "bench-here: prints what one CPU forwards with each mechanism" \
	"$(sed -n 's/^| \([a-z_, ]*\) | [0-9,]* | [0-9,]* to [0-9,]* | [0-9.]* % | [-0-9,]* | [-0-9,]* |$/\1/p' "$work/bench")" \
	$'off\niptverdict\nraw_tp, counting'
# left_behind: prints what the bench has not removed.
left_behind() {
	ls -d /sys/module/ipt_bench /sys/module/iptverdict /sys/module/pktgen /sys/module/dummy /run/netns/rules* /sys/fs/bpf/bench* 2>/dev/null
}
check "bench-here: leaves no module, network namespace or BPF program" "$(left_behind)" ""

# Other programs of the same names: those of a previous mechanism can live on for a while.
# Instrumented kernels are too slow.
others="bench: ignores BPF programs and maps with the same names"
if [[ $CONFIG == default ]]; then
	bpftool prog loadall "$BENCH/raw_tp.bpf.o" /sys/fs/bpf/other pinmaps /sys/fs/bpf/other_maps
	"$dir/measure.py" "$BENCH" lost raw_tp >"$work/lost" 2>"$work/errors" ||
		sed 's/^/# /' "$work/errors"
	check "$others" "$(awk '$1 == "lost" { print $2, $3, ($4 > 0), $4 - $5, $6 }' "$work/lost")" \
		"plain raw_tp 1 0 -
kprobed raw_tp 1 0 -
nested raw_tp 1 0 -
plain raw_tp@nft 1 0 -
kprobed raw_tp@nft 1 0 -
nested raw_tp@nft 1 0 -"
	rm -r /sys/fs/bpf/other /sys/fs/bpf/other_maps
	check "bench: leaves no module, network namespace or BPF program" "$(left_behind)" ""
else
	ktap_test_skip "$others: only in the default configuration"
fi

done_testing
