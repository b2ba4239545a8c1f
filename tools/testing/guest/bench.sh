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

bench() {
	make --no-print-directory -C "$REPO" bench-here BUILT="$BUILD/bench" MECHANISMS="$*" 2>&1
}

modprobe iptverdict
check "not beside the module" "$(bench raw_tp | sed -n 's/^iptverdict: //p')" \
	"the module iptverdict is loaded: rmmod iptverdict first"
rmmod iptverdict
check "an unknown mechanism" "$(bench raw_tb | sed -n 's/^iptverdict: //p')" \
	"no mechanism raw_tb: there are $(
		. "$REPO/tools/testing/bench/mechanisms.sh"
		# shellcheck disable=SC2154 # it is there
		echo "${all[*]}"
	)"

bench iptverdict raw_tp+count >"$work/bench"
check "a row for each mechanism" \
	"$(sed -n 's/^| \([a-z_, ]*\) | [0-9]* | [0-9]* | [0-9]* | [-0-9.]* | [-0-9.]* |$/\1/p' "$work/bench")" \
	$'off\niptverdict\nraw_tp, counting'
check "nothing is left behind" \
	"$(ls -d /sys/module/ipt_bench /sys/module/iptverdict /run/netns/rules* /sys/fs/bpf/bench 2>/dev/null)" ""

done_testing
