# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Three network namespaces in a row, the client, the router and the server; and the counters
# of iptables in them.

# Addresses; those of the router are on the client's side.
client=10.0.1.2
server=10.0.2.2
router=10.0.1.1
# shellcheck disable=SC2034 # the tests use them
client6=fd00:1::2 server6=fd00:2::2 router6=fd00:1::1

hosts="client router server"

# host NAME COMMAND...: runs a command on a host, with the sysfs of its network namespace,
# which hides debugfs and tracefs.
host() {
	local name=$1
	shift
	ip netns exec "$name" "$@"
}

# in_net NAME COMMAND...: runs a command in a network namespace, with the mounts of the
# caller. Faster than host.
in_net() {
	local name=$1
	shift
	nsenter --net="/run/netns/$name" "$@"
}

# ipt HOST ARGS: runs iptables on a host.
ipt() {
	local name=$1
	shift
	in_net "$name" iptables-legacy -w "$@"
}

# ip6t HOST ARGS: runs ip6tables on a host.
ip6t() {
	local name=$1
	shift
	in_net "$name" ip6tables-legacy -w "$@"
}

# syn ADDRESS PORT: the client sends a SYN, and waits for the reply. A connection ends with a
# RST: SYNPROXY accepts one for a server that does not listen, and the FIN would be sent again
# for minutes, beside the packets of the tests that follow.
syn() {
	in_net client python3 -c 'import socket, struct, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as connection:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
' "$@" 2>/dev/null || :
}

# datagrams ADDRESS PORT...: the client sends a UDP datagram with 10 bytes of payload to each
# port. For large numbers, send.py is faster.
datagrams() {
	# shellcheck disable=SC2016 # the inner bash expands them
	in_net client bash -c \
		'for port in "${@:2}"; do echo 123456789 >"/dev/udp/$1/$port"; done' bash "$@"
}

# wait_until COMMAND...: waits until the command succeeds, for at most 60 seconds.
wait_until() {
	local i
	for ((i = 0; i < 600; i++)); do
		! "$@" || return 0
		sleep 0.1
	done
	echo "# gave up after 60 seconds: $*"
	return 1
}

# settle: waits until the hosts have exchanged no packets for 0.2 seconds. All of them pass
# the router.
settle() {
	local i before='' now
	for ((i = 0; i < 300; i++)); do
		now=$(in_net router cat /proc/net/dev)
		[[ $now != "$before" ]] || return 0
		before=$now
		sleep 0.2
	done
	echo "# the hosts still exchange packets after 60 seconds"
}

make_hosts() {
	# Keep resolved neighbours reachable, so that no host solicits again.
	local name reachable=base_reachable_time_ms=3600000
	for name in $hosts; do
		ip netns add "$name"
	done
	ip -batch - <<-E
		link add c0 netns client type veth peer name r0 netns router
		link add s0 netns server type veth peer name r1 netns router
	E
	in_net client sysctl -qw net.ipv6.neigh.c0.$reachable
	in_net server sysctl -qw net.ipv6.neigh.s0.$reachable
	in_net router sysctl -qw net.ipv6.neigh.r{0,1}.$reachable \
		net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ip -n router -batch - <<-E
		link set lo up
		link set r0 up
		link set r1 up
		addr add $router/24 dev r0
		addr add 10.0.2.1/24 dev r1
		addr add $router6/64 dev r0 nodad
		addr add fd00:2::1/64 dev r1 nodad
	E
	ip -n client -batch - <<-E
		link set lo up
		link set c0 up
		addr add $client/24 dev c0
		addr add $client6/64 dev c0 nodad
		route add default via $router
		route add default via $router6
	E
	ip -n server -batch - <<-E
		link set lo up
		link set s0 up
		addr add $server/24 dev s0
		addr add $server6/64 dev s0 nodad
		route add default via 10.0.2.1
		route add default via fd00:2::1
	E
}

remove_hosts() {
	local name
	for name in $hosts; do
		[[ -e /run/netns/$name ]] || continue
		ip netns pids "$name" 2>/dev/null | xargs -r kill -9 2>/dev/null || :
		ip netns del "$name"
	done
}

# zero_counters: resets the counters of all rules, of all policies and of the module. If a
# packet came in between, only some of them counted it: tries again until none came.
zero_counters() {
	local name table proc=/proc/net
	while
		for name in $hosts; do
			for table in $(in_net "$name" cat $proc/ip_tables_names); do
				ipt "$name" -t "$table" -Z
			done
			for table in $(in_net "$name" cat $proc/ip6_tables_names 2>/dev/null); do
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
