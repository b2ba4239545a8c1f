#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Two CPUs flood a rule while the files of the module are read and written, so that KCSAN,
# which samples memory accesses, sees enough of them. RACES: the duration in seconds.
#
# needs CONFIG_KCSAN

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

make_hosts
modprobe iptverdict
ipt router -A INPUT -p udp -j DROP
zero_counters

# The number of accesses that KCSAN skips, and the microseconds that it waits for the other
# CPU, in tasks and in interrupts. Only here: these values would slow down all tests.
kcsan=(/sys/module/kcsan/parameters/{skip_watch,udelay_task,udelay_interrupt})
set_kcsan() {
	local file
	for file in "${kcsan[@]}"; do
		echo "$1" >"$file"
		shift
	done
}
mapfile -t before < <(cat "${kcsan[@]}")
set_kcsan 1000 500 500

touch "$work/go"
for file in stats percpu; do
	while [[ -e $work/go ]]; do cat $debugfs/$file >/dev/null; done &
done
floods=()
for cpu in 0 1; do
	in_net router taskset -c $cpu timeout "${RACES:-60}" \
		"$here/send.py" --count 0 127.0.0.1 9 100 &
	floods+=($!)
done
wait "${floods[@]}" || :
rm "$work/go"
wait
set_kcsan "${before[@]}"

both_counters "$work/got" "$work/saved"
decided=$(awk '/ INPUT DROP / { print $5 }' "$work/got")
check "races: $decided packets on two CPUs: module and rule agree" \
	"$decided" "$(sed -n 's/^\[\([0-9]*\):.*-j DROP$/\1/p' "$work/saved")"
check "races: each CPU counts more than 1000 packets" \
	"$(awk '/ INPUT DROP / && $6 > 1000 { print $2 }' $debugfs/percpu | xargs)" "0 1"
echo 1 >$debugfs/reset
rmmod iptverdict

done_testing
