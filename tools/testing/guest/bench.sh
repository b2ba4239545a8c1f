#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# make bench-here, on a machine that runs a patched kernel: this guest, which is too
# slow to build anything.
#
# needs CONFIG_RUST

# shellcheck source=tools/env.sh
. "$(dirname "$(realpath "$0")")/../../env.sh"
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

built=$BENCH
bench() {
	make --no-print-directory -C "$REPO" bench-here BUILT="$built" MECHANISMS="$*" 2>&1
}

modprobe iptverdict
check "not beside the module" "$(bench raw_tp | sed -n 's/^iptverdict: //p')" \
	"the module iptverdict is loaded: rmmod iptverdict first"
rmmod iptverdict
# One that its vermagic says is of another.
mkdir -p "$work/other/module"
sed 's/vermagic=./vermagic=0/' "$BENCH/module/ipt_bench.ko" >"$work/other/module/ipt_bench.ko"
built=$work/other
check "built for another kernel" "$(bench raw_tp | sed -n 's/^iptverdict: //p')" \
	"BUILT=$built was built for another kernel than this $(uname -r): Invalid module format"
built=$BENCH
check "an unknown mechanism" "$(bench raw_tb | sed -n 's/^iptverdict: //p')" \
	"no mechanism raw_tb: there are $(
		. "$REPO/tools/testing/bench/mechanisms.sh"
		# shellcheck disable=SC2154 # it is there
		echo "${all[*]}"
	)"

bench iptverdict raw_tp+count >"$work/bench" || sed 's/^/# /' "$work/bench"
check "a row for each mechanism" \
	"$(sed -n 's/^| \([a-z_, ]*\) | [0-9]* | [0-9]* | [0-9]* | [-0-9.]* | [-0-9.]* |$/\1/p' "$work/bench")" \
	$'off\niptverdict\nraw_tp, counting'
check "nothing is left behind" \
	"$(ls -d /sys/module/ipt_bench /sys/module/iptverdict /run/netns/rules* /sys/fs/bpf/bench 2>/dev/null)" ""

done_testing
