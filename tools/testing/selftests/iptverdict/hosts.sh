# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Three hosts in a row, as network namespaces, and what iptables counts on them.

# The hosts: a client and a server, each with a veth to the router between.
client=10.0.1.2
server=10.0.2.2
router=10.0.1.1
# shellcheck disable=SC2034 # it is others that use what is set here
client6=fd00:1::2 server6=fd00:2::2 router6=fd00:1::1

host() {
	local name=$1
	shift
	ip netns exec "$name" "$@"
}

# ipt HOST ARGS: iptables, on a host.
ipt() {
	local name=$1
	shift
	ip netns exec "$name" iptables-legacy -w "$@"
}

# ip6t HOST ARGS: ip6tables, on a host.
ip6t() {
	local name=$1
	shift
	ip netns exec "$name" ip6tables-legacy -w "$@"
}

# syn ADDRESS PORT: the client tries to connect, until shortly before it would ask again.
syn() {
	host client python3 -c "
import socket
try:
    socket.create_connection(('$1', $2), 0.8)
except OSError:
    pass"
}

hosts="client router server"

make_hosts() {
	local name
	for name in $hosts; do
		ip netns add "$name"
		ip -n "$name" link set lo up
	done
	ip link add c0 netns client type veth peer name r0 netns router
	ip link add s0 netns server type veth peer name r1 netns router
	ip -n client addr add $client/24 dev c0
	ip -n router addr add $router/24 dev r0
	ip -n router addr add 10.0.2.1/24 dev r1
	ip -n server addr add $server/24 dev s0
	# Who is asked once is not asked again.
	for name in client/c0 router/r0 router/r1 server/s0; do
		host "${name%/*}" sysctl -qw \
			"net.ipv6.neigh.${name#*/}.base_reachable_time_ms=3600000"
	done
	ip -n client link set c0 up
	ip -n router link set r0 up
	ip -n router link set r1 up
	ip -n server link set s0 up
	ip -n client route add default via $router
	ip -n server route add default via 10.0.2.1
	ip -n client addr add $client6/64 dev c0 nodad
	ip -n router addr add $router6/64 dev r0 nodad
	ip -n router addr add fd00:2::1/64 dev r1 nodad
	ip -n server addr add $server6/64 dev s0 nodad
	ip -n client route add default via $router6
	ip -n server route add default via fd00:2::1
	host router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

remove_hosts() {
	local name
	for name in $hosts; do
		ip netns pids "$name" 2>/dev/null | xargs -r kill -9 2>/dev/null || :
		[[ ! -e /run/netns/$name ]] || ip netns del "$name"
	done
}

# zero_counters: those of all rules and policies, and of the module. A packet that
# comes between is counted by one of them only: until none has come.
zero_counters() {
	local name table
	while
		for name in $hosts; do
			for table in $(host "$name" cat /proc/net/ip_tables_names); do
				ipt "$name" -t "$table" -Z
			done
			for table in $(host "$name" cat /proc/net/ip6_tables_names 2>/dev/null); do
				ip6t "$name" -t "$table" -Z
			done
		done
		echo 1 >/sys/kernel/debug/iptverdict/reset
		(($(save_counters | grep -c '\[[0-9:]*[1-9][0-9:]*\]') ||
			$(wc -l </sys/kernel/debug/iptverdict/stats) > 1))
	do
		sleep 0.5
	done
}

# save_counters: the rulesets of all hosts, with counters.
save_counters() {
	local name
	for name in $hosts; do
		host "$name" iptables-legacy-save -c
		host "$name" ip6tables-legacy-save -c
	done
}

# both_counters STATS RULESETS: writes what the module and what iptables has counted,
# of one moment: nothing came between.
both_counters() {
	local before
	while
		before=$(cat /sys/kernel/debug/iptverdict/stats)
		save_counters >"$2"
		cat /sys/kernel/debug/iptverdict/stats >"$1"
		[[ $before != "$(<"$1")" ]]
	do
		sleep 1
	done
}
