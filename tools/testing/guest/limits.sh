#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What no ordinary traffic reaches: all verdicts, counters about to wrap around, packets
# of all sizes, a jump too many, a table that is not the kernel's own.
#
# needs CONFIG_RUST

# shellcheck source=tools/env.sh
. "$(dirname "$(realpath "$0")")/../../env.sh"
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

modules=$KDIR/test-modules
bench=/sys/kernel/debug/ipt_bench
make_hosts

# Not by "ip netns exec", which hides debugfs.
in_router() {
	nsenter --net=/run/netns/router "$@"
}
counted() {
	sed 1d $debugfs/stats
}

# Verdicts. The hooks of the kernel would warn of those that are none: these calls of
# ipt_do_table() are by the module of the bench, 101 for each read, of 100 bytes.
modprobe iptverdict
insmod "$BENCH/module/ipt_bench.ko"
echo 1 >/sys/module/ipt_bench/parameters/calls
insmod "$modules/xt_any_verdict.ko"
ipt router -A INPUT -j ACCEPT
while read -r number name bytes; do
	ipt router -R INPUT 1 -j CLASSIFY --set-class "$(printf '%x:%x' $((number >> 16)) $((number & 0xffff)))"
	echo 1 >$debugfs/reset
	trace_on "verdict == $number && rule >= 0 && policy == 0"
	returned=$(in_router cat $bench/ipv4)
	check "verdict $number: as the caller gets it, in the module, of the event" \
		"${returned%% *} $(counted) $(trace | wc -l)" "$((number)) ipv4 filter INPUT $name 101 $bytes 101"
done <<'E'
0x00000000 DROP 10100
0x00000001 ACCEPT 10100
0x00000002 STOLEN 0
0x00000003 QUEUE 10100
0x00000004 REPEAT 10100
0x00000005 STOP 10100
0x00000006 OTHER 10100
0x00000007 OTHER 10100
0x000000ff OTHER 10100
0xffff0000 DROP 10100
0xffff8003 QUEUE 10100
0xffffff01 ACCEPT 10100
0xffff00ff OTHER 10100
0x80000080 OTHER 10100
0xfffffffe OTHER 10100
E
trace_off
ipt router -F INPUT
rmmod xt_any_verdict

# Counters. The CPU that counts is the one whose counter is set.
rmmod iptverdict
modprobe iptverdict
count() {
	taskset -c 0 nsenter --net=/run/netns/router cat $bench/ipv4 >/dev/null
}
# What index() of the module makes of filter, INPUT, ACCEPT; 2^64 less 50 and 500.
check_fails "the test module sets a counter" "canceled" \
	taskset -c 0 insmod "$modules/ipt_counter.ko" slot=$((6 << 6 | 1 << 3 | 1)) \
	packets=18446744073709551566 bytes=18446744073709551116
check "a counter close to 2^64" "$(counted)" \
	"ipv4 filter INPUT ACCEPT 18446744073709551566 18446744073709551116"
check "percpu, too" "$(sed 1d $debugfs/percpu)" \
	"ipv4 0 filter INPUT ACCEPT 18446744073709551566 18446744073709551116"
echo 1 >$debugfs/reset
count
check "after a reset, it is right beyond 2^64" "$(counted)" "ipv4 filter INPUT ACCEPT 101 10100"
count
check "and goes on" "$(counted)" "ipv4 filter INPUT ACCEPT 202 20200"
rmmod ipt_bench

# Sizes: datagrams that are put together again because connections are tracked, and
# segments that no device has cut yet.
ipt router -A FORWARD -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT
host client ping -qc 1 $server >/dev/null
zero_counters
trace_on "table == 'filter' && hook == 2 && protocol == 17"
host client python3 -c "
import socket
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for size in (0, 1, 1472, 1473, 9000, 65507):
    out.sendto(bytes(size), ('$server', 9))"
sleep 0.5
check "the event has lengths up to 64 KiB" "$(trace | field len | xargs)" "28 29 1500 1501 9028 65535"
both_counters "$work/got" "$work/saved"
check "module and iptables agree on them" \
	"$(grep '^ipv4' "$work/got")" "$("$here/ruleset.py" verdicts <"$work/saved" | grep '^ipv4')"
trace_on "table == 'filter' && hook == 2 && len > 30000"
host server iperf3 --server --one-off --daemon --logfile "$work/iperf3"
sleep 1
host client iperf3 --client $server --bytes 5M >/dev/null
sleep 0.5
both_counters "$work/got" "$work/saved"
check "and on segments of GSO" \
	"$(grep '^ipv4' "$work/got")" "$("$here/ruleset.py" verdicts <"$work/saved" | grep '^ipv4')"
check_that "of which there were some" test "$(trace | wc -l)" -gt 0
trace_off
ipt router -F FORWARD

# A table that is not the kernel's own.
insmod "$modules/iptable_sixth.ko"
ipt router -t sixth -A FORWARD -p udp --dport 5 -j DROP
trace_on "table == 'sixth'"
zero_counters
host client ping -qc 3 -i 0.01 $server >/dev/null
host client bash -c "for i in 1 2 3 4; do echo 123456789 >/dev/udp/$server/5; done"
sleep 0.2
check "a sixth table counts as other" "$(counted | grep -v ' filter ')" \
	"ipv4 other FORWARD DROP 4 152
ipv4 other FORWARD ACCEPT 6 504"
check "as its own counters say" \
	"$(in_router iptables-legacy-save -c -t sixth | grep -o '^:FORWARD.*\|.*DROP')" \
	":FORWARD ACCEPT [6:504]
[4:152] -A FORWARD -p udp -m udp --dport 5 -j DROP"
check "the event has its name" \
	"$(trace | columns table verdict | sort | uniq -c | xargs)" "6 sixth ACCEPT 4 sixth DROP"
trace_off

# Jumps: the second one is too many.
host router iptables-legacy-restore <<'E'
*filter
:INPUT ACCEPT
:first -
:second -
-A INPUT -p udp --dport 5 -j first
-A first -p udp --dport 5 -j second
-A second -p udp --dport 6 -j ACCEPT
COMMIT
E
in_router "$REPO/tools/testing/guest/overflow.py" >"$work/jumps"
echo 1 >$debugfs/reset
trace_on "table == 'filter' && hook == 1"
host client bash -c "echo 123456789 >/dev/udp/$router/5"
sleep 0.2
check "the jump that overflows the stack decides" \
	"$(trace | columns verdict policy rule)" "DROP 0 $(sed -n 2p "$work/jumps")"
check "and is counted" "$(counted | grep ' filter INPUT ')" "ipv4 filter INPUT DROP 1 38"
trace_off
rmmod iptverdict
remove_hosts
rmmod iptable_sixth

done_testing
