#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Two CPUs that do nothing but decide on packets, while the files of the module are read
# and written: KCSAN, which samples accesses to memory, gets to see enough of them.
# RACES: seconds.
#
# needs CONFIG_KCSAN

# shellcheck source=tools/env.sh
. "$(dirname "$(realpath "$0")")/../../env.sh"
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

make_hosts
modprobe iptverdict
ipt router -A INPUT -p udp -j DROP
zero_counters

# How many accesses KCSAN skips, and how many microseconds it waits for the other CPU, in
# tasks and in interrupts: this is too slow for all tests.
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
	ip netns exec router taskset -c $cpu timeout --signal=INT "${RACES:-60}" python3 -c "
import socket
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    while True:
        out.sendto(bytes(100), ('127.0.0.1', 9))
except KeyboardInterrupt:
    pass" &
	floods+=($!)
done
wait "${floods[@]}" || :
rm "$work/go"
wait
set_kcsan "${before[@]}"

both_counters "$work/got" "$work/saved"
decided=$(awk '/ INPUT DROP / { print $5 }' "$work/got")
check "$decided packets on two CPUs, as many as in the rule" \
	"$decided" "$(sed -n 's/^\[\([0-9]*\):.*-j DROP$/\1/p' "$work/saved")"
check "both have counted" "$(awk '/ INPUT DROP / && $6 > 1000 { print $2 }' $debugfs/percpu | xargs)" "0 1"
echo 1 >$debugfs/reset
rmmod iptverdict

done_testing
