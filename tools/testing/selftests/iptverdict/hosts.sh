# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Three hosts in a row, as network namespaces: client, router, server. And the counters
# of iptables on them.

# Addresses: the router's are those that the client sees.
client=10.0.1.2
server=10.0.2.2
router=10.0.1.1
# shellcheck disable=SC2034 # the scripts that source this use them
client6=fd00:1::2 server6=fd00:2::2 router6=fd00:1::1

hosts="client router server"

# host NAME COMMAND...: runs a command on a host. "ip netns exec" mounts a sysfs of the
# namespace, without debugfs and tracefs.
host() {
	local name=$1
	shift
	ip netns exec "$name" "$@"
}

# in_net NAME COMMAND...: runs a command in a network namespace only: faster, and with the
# mounts of the caller.
in_net() {
	local name=$1
	shift
	nsenter --net="/run/netns/$name" "$@"
}

# ipt HOST ARGS: iptables, on a host.
ipt() {
	local name=$1
	shift
	in_net "$name" iptables-legacy -w "$@"
}

# ip6t HOST ARGS: ip6tables, on a host.
ip6t() {
	local name=$1
	shift
	in_net "$name" ip6tables-legacy -w "$@"
}

# syn ADDRESS PORT: the client sends one SYN: it gives up before the first retransmission.
syn() {
	in_net client python3 -c "
import socket
try:
    socket.create_connection(('$1', $2), 0.8)
except OSError:
    pass"
}

# wait_until COMMAND...: waits until the command succeeds, for at most 60 seconds.
wait_until() {
	local i
	for ((i = 0; i < 600; i++)); do
		! "$@" || return 0
		sleep 0.1
	done
	echo "# waited 60 seconds in vain: $*"
	return 1
}

# settle: waits until the hosts have sent and received nothing for 0.2 seconds.
settle() {
	local name before='' now
	while
		now=$(for name in $hosts; do in_net "$name" cat /proc/net/dev; done)
		[[ $now != "$before" ]]
	do
		before=$now
		sleep 0.2
	done
}

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
	# Neighbours that have answered once are not asked again.
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

# zero_counters: resets the counters of all rules, of all policies and of the module. If a
# packet came in between, only some of them counted it: tries again until none came.
zero_counters() {
	local name table
	while
		for name in $hosts; do
			for table in $(in_net "$name" cat /proc/net/ip_tables_names); do
				ipt "$name" -t "$table" -Z
			done
			for table in $(in_net "$name" cat /proc/net/ip6_tables_names 2>/dev/null); do
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

# save_counters: prints the rulesets of all hosts, with counters.
save_counters() {
	local name
	for name in $hosts; do
		in_net "$name" iptables-legacy-save -c
		in_net "$name" ip6tables-legacy-save -c
	done
}

# both_counters STATS RULESETS: writes the counters of the module and of iptables to these
# files, as of one moment: tries again until no packet came in between.
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
