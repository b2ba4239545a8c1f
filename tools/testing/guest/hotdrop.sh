#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# A match that requests a hot drop and returns true ends the traversal: the target, which could
# free the packet, does not run.
#
# needs CONFIG_RUST

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

make_hosts
modprobe -a ip_tables ip6_tables nf_conntrack
modules=$KDIR/test-modules
insmod "$modules/xt_hotdrop.ko"
in_net router sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0 net.ipv4.tcp_syncookies=1

# syns_received: prints how many SYNs the target SYNPROXY has received in the router.
syns_received() {
	local sum=0 syns
	while read -r _ syns _; do
		sum=$((sum + 16#$syns))
	done < <(in_net router sed 1d /proc/net/stat/synproxy)
	echo $sum
}

# hot_drop IPTABLES FAMILY ADDRESS: prints verdict, policy and rule of a SYN that both the match
# and SYNPROXY want, whether the event has the packet, the counters of the rule, and how many SYNs
# SYNPROXY received.
hot_drop() {
	in_net router "$1-legacy" -t raw -A PREROUTING -p tcp --dport 80 --syn -j CT --notrack
	in_net router "$1-legacy" -A FORWARD -p tcp --dport 80 -m cpu --cpu 0 \
		-m comment --comment hot -j SYNPROXY
	blob filter "$2"
	trace_on "table == 'filter' && hook == 2"
	# Not by in_net, so that $! is the client, which would wait for minutes.
	nsenter --net=/run/netns/client bash -c ": <>/dev/tcp/$3/80" &>/dev/null &
	events 1
	kill $!
	# The client may have sent the SYN again.
	decided_by verdict policy | head -n 1
	trace | head -n 1 | grep -c 'skbaddr=0*[1-9a-f]' || :
	in_net router "$1-legacy-save" -c | sed -n 's/^\(\[.*\]\) -A FORWARD .*/\1/p'
	syns_received
}

check "hot drop and match: ip_tables does not run the target" \
	"$(hot_drop iptables ipv4 $server | xargs)" "DROP 0 hot 1 [0:0] 0"
event=ip6t_verdict event_module=ip6_tables
check "hot drop and match: ip6_tables does not run the target" \
	"$(hot_drop ip6tables ipv6 $server6 | xargs)" "DROP 0 hot 1 [0:0] 0"

trace_off
remove_hosts
rmmod xt_hotdrop

done_testing
