#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Limits that ordinary traffic does not reach: every verdict, counters that wrap around,
# packets of up to 64 KiB, a third-party table, an overflow of the jump stack.
#
# needs CONFIG_RUST
# stock, unless SHORT=1

# counted has an optional argument.
# shellcheck disable=SC2119
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

modules=$KDIR/test-modules
ipt_bench=/sys/kernel/debug/ipt_bench
make_hosts

# Verdicts. The netfilter hooks would warn about the invalid ones: the module of the bench
# calls ipt_do_table() itself, 101 times per read, with packets of 100 bytes.
modprobe iptverdict
insmod "$BENCH/module/ipt_bench.ko"
echo 1 >/sys/module/ipt_bench/parameters/calls
insmod "$modules/xt_any_verdict.ko"
ipt router -A INPUT -j ACCEPT
while read -r number name bytes; do
	class=$(printf %x:%x $((number >> 16)) $((number & 0xffff)))
	ipt router -R INPUT 1 -j CLASSIFY --set-class "$class"
	echo 1 >$debugfs/reset
	queue=0 errno=0 bypass=0
	case $((number & 0xff)) in
	0) errno=$((number >> 16)) ;;
	3) queue=$((number >> 16)) bypass=$((number >> 15 & 1)) ;;
	esac
	high="errno == $errno && queue == $queue && bypass == $bypass"
	trace_on "verdict == $((number & 0xff)) && $high && rule >= 0 && policy == 0"
	returned=$(in_net router cat $ipt_bench/ipv4)
	check "limits: verdict $number: return value, counters and events" \
		"${returned%% *} $(counted) $(trace | wc -l)" \
		"$((number)) ipv4 filter INPUT $name 101 $bytes 101"
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

# Counters, those of CPU 0.
rmmod iptverdict
modprobe iptverdict
count() {
	in_net router taskset -c 0 cat $ipt_bench/ipv4 >/dev/null
}
# The slot is index() in the module of filter, INPUT, ACCEPT; the counts are 2^64 - 50 and
# 2^64 - 500.
check_fails "limits: the test module sets a counter" "canceled" \
	taskset -c 0 insmod "$modules/ipt_counter.ko" slot=$((6 << 5 | 1 << 3 | 1)) \
	packets=18446744073709551566 bytes=18446744073709551116
check "limits: stats of a counter close to 2^64" "$(counted)" \
	"ipv4 filter INPUT ACCEPT 18446744073709551566 18446744073709551116"
check "limits: percpu of a counter close to 2^64" "$(sed 1d $debugfs/percpu)" \
	"ipv4 0 filter INPUT ACCEPT 18446744073709551566 18446744073709551116"
echo 1 >$debugfs/reset
count
check "limits: a reset counter stays correct across its wrap-around" "$(counted)" \
	"ipv4 filter INPUT ACCEPT 101 10100"
count
check "limits: a counter continues after it wrapped around" "$(counted)" \
	"ipv4 filter INPUT ACCEPT 202 20200"
rmmod ipt_bench

# Packet sizes: connection tracking reassembles fragments, and GSO packets are not segmented
# yet.
ipt router -A FORWARD -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT
in_net client ping -qc 1 $server >/dev/null
zero_counters
trace_on "table == 'filter' && hook == 2 && protocol == 17"
in_net client "$here/send.py" $server 9 0,1,1472,1473,9000,65507
events 6
check "limits: the event has lengths up to 64 KiB" "$(trace | field len | xargs)" \
	"28 29 1500 1501 9028 65535"
# agree NAME: compares the counters of the module and of iptables.
agree() {
	both_counters "$work/got" "$work/saved"
	"$here/ruleset.py" verdicts <"$work/saved" >"$work/want"
	check "limits: $1: module and iptables agree" \
		"$(grep '^ipv4' "$work/got")" "$(grep '^ipv4' "$work/want")"
}
settle
agree "packets of up to 64 KiB"
# listening PORT: succeeds if the server listens on this TCP port.
listening() {
	[[ $(in_net server ss --no-header --numeric --listening --tcp "sport = :$1") ]]
}
trace_on "table == 'filter' && hook == 2 && len > 30000"
in_net server iperf3 --server --one-off --daemon --logfile "$work/iperf3"
wait_until listening 5201
in_net client iperf3 --client $server --bytes 5M >/dev/null
settle
agree "GSO packets"
check_that "limits: GSO packets: some have more than 30000 bytes" test "$(trace | wc -l)" -gt 0
trace_off
ipt router -F FORWARD

# A table that is not one of the kernel's five.
insmod "$modules/iptable_sixth.ko"
ipt router -t sixth -A FORWARD -p udp --dport 5 -j DROP
trace_on "table == 'sixth'"
zero_counters
in_net client ping -qc 3 -i 0.01 $server >/dev/null
datagrams $server 5 5 5 5
events 10
check "limits: a third-party table counts as other" "$(counted | grep -v ' filter ')" \
	"ipv4 other FORWARD DROP 4 152
ipv4 other FORWARD ACCEPT 6 504"
check "limits: the counters of iptables for a third-party table" \
	"$(in_net router iptables-legacy-save -c -t sixth | grep -o '^:FORWARD.*\|.*DROP')" \
	":FORWARD ACCEPT [6:504]
[4:152] -A FORWARD -p udp -m udp --dport 5 -j DROP"
check "limits: the event has the name of a third-party table" \
	"$(trace | columns table verdict | sort | uniq -c | xargs)" "6 sixth ACCEPT 4 sixth DROP"
trace_off

# Jumps: the second one overflows the stack.
in_net router iptables-legacy-restore <<'E'
*filter
:INPUT ACCEPT
:first -
:second -
-A INPUT -p udp --dport 5 -j first
-A first -p udp --dport 5 -j second
-A second -p udp --dport 6 -j ACCEPT
COMMIT
E
in_net router "$REPO/tools/testing/guest/overflow.py" >"$work/jumps"
echo 1 >$debugfs/reset
trace_on "table == 'filter' && hook == 1"
datagrams $router 5
events 1
check "limits: jump stack overflow: the jump is the deciding rule" \
	"$(trace | columns verdict policy rule)" "DROP 0 $(sed -n 2p "$work/jumps")"
check "limits: jump stack overflow: the module counts a DROP" \
	"$(counted | grep ' filter INPUT ')" "ipv4 filter INPUT DROP 1 38"
trace_off
rmmod iptverdict
remove_hosts
rmmod iptable_sixth

done_testing
