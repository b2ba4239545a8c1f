#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Many network namespaces at once, each with its own filter table. NETS: their number.
#
# needs CONFIG_RUST

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

nets=${NETS:-20}
modprobe iptverdict
for ((i = 0; i < nets; i++)); do
	ip netns add "net$i"
	ip -n "net$i" link set lo up
	ipt "net$i" -A INPUT -p icmp -j ACCEPT
done
echo 1 >$debugfs/reset
trace_on "table == 'filter' && hook == 1"
for ((i = 0; i < nets; i++)); do
	in_net "net$i" ping -qc 1 127.0.0.1 >/dev/null
done
check "nets: $nets network namespaces: all packets are counted" \
	"$(grep INPUT $debugfs/stats)" "ipv4 filter INPUT ACCEPT $((2 * nets)) $((2 * nets * 84))"
check "nets: $nets network namespaces: each has its own cookie" \
	"$(trace | field net_cookie | sort | uniq -c | awk '{ print $1 }' | uniq -c | xargs)" "$nets 2"
trace_off
# Unload the module while some of the tables still exist.
for ((i = 0; i < nets; i += 2)); do
	ip netns del "net$i"
done
rmmod iptverdict
for ((i = 1; i < nets; i += 2)); do
	ip netns del "net$i"
done

done_testing
