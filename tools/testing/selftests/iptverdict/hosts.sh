# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Three hosts in a row, as network namespaces, and what iptables counts on them.

# The hosts: a client and a server, each with a veth to the router between.
client=10.0.1.2
server=10.0.2.2
router=10.0.1.1

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

# syn ADDRESS PORT: the client tries to connect, for a second.
syn() {
	host client timeout 1 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null || :
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
	ip -n client link set c0 up
	ip -n router link set r0 up
	ip -n router link set r1 up
	ip -n server link set s0 up
	ip -n client route add default via $router
	ip -n server route add default via 10.0.2.1
	host router sysctl -qw net.ipv4.ip_forward=1
}

remove_hosts() {
	local name
	for name in $hosts; do
		ip netns pids "$name" 2>/dev/null | xargs -r kill -9 2>/dev/null || :
		[[ ! -e /run/netns/$name ]] || ip netns del "$name"
	done
}

# zero_counters: those of all rules and policies, and of the module.
zero_counters() {
	local name table
	for name in $hosts; do
		for table in $(host "$name" cat /proc/net/ip_tables_names); do
			ipt "$name" -t "$table" -Z
		done
	done
	echo 1 >/sys/kernel/debug/iptverdict/reset
}

# save_counters: the rulesets of all hosts, with counters.
save_counters() {
	local name
	for name in $hosts; do
		host "$name" iptables-legacy-save -c
	done
}
