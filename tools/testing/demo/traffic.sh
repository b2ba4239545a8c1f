#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The part of the demonstration that runs in the guest: real traffic through a router with a
# real ruleset, which iptables-legacy loads, then iptables-nft, then one of nft. Compares the
# counters of the module with those of the rules, of bpftrace and of the command iptverdict, and
# prints a drop by each rule, as the command shows it.

set -euo pipefail

here=$(dirname "$(realpath "$0")")
selftests=$here/../selftests/iptverdict
# shellcheck source=tools/testing/selftests/iptverdict/hosts.sh
. "$selftests/hosts.sh"

work=$(mktemp -d)
make_hosts
# Router solicitations could come between two readings of the counters.
in_net client sysctl -qw net.ipv6.conf.c0.router_solicitations=0
in_net server sysctl -qw net.ipv6.conf.s0.router_solicitations=0
modprobe iptverdict
in_net server iperf3 --server --daemon --logfile "$work/iperf3"

# tcp NAME ARGS: the client sends TCP data by iperf3.
tcp() {
	in_net client iperf3 --client "${@:2}" | sed -n "s/^.*sender$/$1&/p"
}
# ping20 NAME ADDRESS: the client sends 20 pings.
ping20() {
	in_net client ping -qc 20 -i 0.02 "$2" | sed -n "s/^.*packets/$1&/p"
}
# connects ADDRESS PORT: succeeds if the client can connect.
connects() {
	in_net client timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null
}
traffic() {
	local port
	echo "-- traffic from $client over the router to $server --"
	tcp "TCP accepted:     " $server --bytes 20M
	tcp "TCP after DNAT:   " $router --port 8080 --bytes 5M
	for port in 23 25; do
		connects $server $port || echo "TCP to port $port: refused or dropped"
	done
	for port in 7000 7001 7002 7003 7004 7005 7006; do
		in_net client "$selftests/send.py" $server $port 0-199
	done
	echo "UDP to ports 7000-7006: 200 datagrams each"
	ping20 "ICMP to the server: " $server
	ping20 "ICMP to the router: " $router
	ping20 "ICMPv6 to the server: " $server6
	tcp "TCP over IPv6:    " $server6 --bytes 2M
	connects $server6 25 || echo "TCP over IPv6 to port 25: dropped"
	echo
}

# neighbours_known: succeeds unless a host is going to solicit an IPv6 neighbour. A host
# verifies a new entry five seconds after it first used it.
neighbours_known() {
	local name
	for name in $hosts; do
		[[ ! $(ip -n "$name" -6 neigh show nud delay nud probe nud incomplete) ]] || return 1
	done
}

# observe NAME EVENT...: sends the traffic, and compares what the module, the rules, bpftrace on the
# raw tracepoints and the command see. The functions load_NAME and save_NAME load the ruleset, with
# counters of zero, and print it with its counters.
observe() {
	local name=$1 bpftrace watch probes
	shift
	probes=$(printf ',rawtracepoint:%s' "$@")
	echo "== $name =="
	# BEGIN runs once all probes are attached.
	bpftrace -e "BEGIN { printf(\"attached\\n\"); } ${probes#,} { @[arg4 & 0xff] = count(); }" \
		>"$work/bpftrace" 2>&1 &
	bpftrace=$!
	wait_until grep -q attached "$work/bpftrace" || {
		cat "$work/bpftrace" >&2
		exit 1
	}
	# shellcheck disable=SC2153 # vm/boot sets it
	"$COMMAND" watch >"$work/watch" 2>"$work/watching" &
	watch=$!
	wait_until grep -q watching "$work/watching" || {
		cat "$work/watching" >&2
		exit 1
	}
	"load_$name"
	# What both_counters() compares the module with.
	save_counters() {
		"save_$name"
	}
	traffic
	wait_until neighbours_known
	settle
	both_counters "$work/stats" "$work/saved"
	kill -INT $bpftrace $watch
	wait $bpftrace $watch || :
	echo "-- /sys/kernel/debug/iptverdict/stats --"
	cat "$work/stats"
	echo
	"verdicts_$name" <"$work/saved" >"$work/counters"
	"$here/compare.py" "$name" "$work/stats" "$work/counters" "$work/bpftrace" "$work/watch"
	echo "-- iptverdict watch: the first drop by each rule --"
	awk -F ' [|] ' '{ split($1, word, " ") } !seen[word[4], word[5], word[6], $2]++' "$work/watch"
	echo
}

load_iptables() {
	in_net router iptables-legacy-restore "$here/ruleset"
	in_net router ip6tables-legacy-restore "$here/ruleset6"
	zero_counters
}
save_iptables() {
	in_net router iptables-legacy-save -c
	in_net router ip6tables-legacy-save -c
}
verdicts_iptables() {
	"$selftests/ruleset.py" verdicts
}

load_iptables-nft() {
	echo 1 >/sys/kernel/debug/iptverdict/reset
	in_net router iptables-nft-restore "$here/ruleset"
	in_net router ip6tables-nft-restore "$here/ruleset6"
}
save_iptables-nft() {
	in_net router iptables-nft-save -c
	in_net router ip6tables-nft-save -c
}
verdicts_iptables-nft() {
	"$selftests/ruleset.py" verdicts
}

load_nftables() {
	in_net router nft flush ruleset
	echo 1 >/sys/kernel/debug/iptverdict/reset
	in_net router nft -f "$here/ruleset.nft"
}
save_nftables() {
	in_net router nft --json list ruleset
}
verdicts_nftables() {
	"$here/nft_verdicts.py"
}

observe iptables ipt_verdict ip6t_verdict
# Its rules would decide beside those of nftables.
for command in iptables ip6tables; do
	in_net router $command-legacy-save | awk '/^[*:]/ { sub(/ DROP /, " ACCEPT "); if ($2 != "-") print } /^COMMIT/' |
		in_net router $command-legacy-restore
done
observe iptables-nft nft_verdict
observe nftables nft_verdict
