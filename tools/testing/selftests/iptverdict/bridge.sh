#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Bridged packets, with and without bridge-nf-call-iptables and -arptables, and in the bridge
# family of nftables.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

# The router becomes a bridge, with the client and the server in one network. It may send IGMP
# of its own.
make_hosts
modprobe br_netfilter
ip -n router -batch - <<-E
	link add br0 type bridge
	link set r0 master br0
	link set r1 master br0
	link set br0 up
E
ip -n client addr add 10.0.3.1/24 dev c0
ip -n server addr add 10.0.3.2/24 dev s0
for table in raw mangle filter; do
	ipt router -t $table -L -n >/dev/null
done
in_net router arptables-legacy -L -n >/dev/null
cookie=$(netns_cookie router)

# call NAME 0|1: whether NAME (iptables, arptables) sees bridged packets.
call() {
	in_net router sysctl -qw "net.bridge.bridge-nf-call-$1=$2"
}
# pings N: the client sends requests over the bridge; prints how many got a reply.
pings() {
	in_net client ping -qc "$1" -i 0.01 -W 0.5 10.0.3.2 |
		sed -n 's/.* \([0-9]*\) received.*/\1/p'
}

call iptables 0
call arptables 1
# shellcheck disable=SC2034 # lib.sh uses them
event=arpt_verdict event_module=arp_tables
trace_on "net_cookie == $cookie && hook == 2"
pings 1 >/dev/null
check "bridge: bridge-nf-call-arptables: ARP has the bridge ports as devices" \
	"$(trace | columns hook verdict op in out | sort -u)" \
	"FORWARD ACCEPT 1 r0 r1
FORWARD ACCEPT 2 r1 r0"
call arptables 0

# shellcheck disable=SC2034 # lib.sh uses them
event=ipt_verdict event_module=ip_tables
trace_on "net_cookie == $cookie && protocol == 1"
check "bridge: bridge-nf-call-iptables off: replies, no events" "$(pings 3), $(trace)" "3, "

call iptables 1
check "bridge: bridge-nf-call-iptables on: the bridge passes packets" "$(pings 1)" 1
check "bridge: bridge-nf-call-iptables on: chains and devices of a request and its reply" \
	"$(trace | columns table hook in out verdict)" \
	"raw PREROUTING br0  ACCEPT
mangle PREROUTING br0  ACCEPT
mangle FORWARD br0 br0 ACCEPT
filter FORWARD br0 br0 ACCEPT
mangle POSTROUTING  br0 ACCEPT
raw PREROUTING br0  ACCEPT
mangle PREROUTING br0  ACCEPT
mangle FORWARD br0 br0 ACCEPT
filter FORWARD br0 br0 ACCEPT
mangle POSTROUTING  br0 ACCEPT"

# Only the rule knows the ports of the bridge.
ipt router -A FORWARD -p icmp -m physdev --physdev-in r1 --physdev-out r0 -j DROP
blob filter
trace_on "net_cookie == $cookie && table == 'filter'"
! have_module "module: bridged packets" || modprobe iptverdict
check "bridge: bridge-nf-call-iptables on: a rule for bridge ports drops the replies" "$(pings 3)" 0
check "bridge: events of requests that pass and of replies that a rule for bridge ports drops" \
	"$(decided_by verdict in out | sort | uniq -c | xargs)" \
	"3 ACCEPT br0 br0 FORWARD policy 3 DROP br0 br0 FORWARD 1"
if [[ -d $debugfs ]]; then
	check "module: counts bridged packets" "$(counted "ipv4 filter")" \
		$'FORWARD DROP 3 252\nFORWARD ACCEPT 3 252'
	rmmod iptverdict
fi
call iptables 0
trace_on "net_cookie == $cookie && protocol == 1"
check "bridge: bridge-nf-call-iptables off: a rule that drops is not evaluated" \
	"$(pings 3), $(trace)" "3, "

# Hooks of the bridge know a packet by its protocol only.
# shellcheck disable=SC2034 # lib.sh uses them
event=nft_verdict event_system=nftables event_module=nf_tables
in_net router nft -f - <<'E'
table bridge filter {
	chain forward {
		type filter hook forward priority 0; policy accept;
		icmp type echo-reply drop
		arp operation reply accept
	}
}
E
# With permanent neighbours, only arp.py sends ARP requests.
ip -n client neigh change 10.0.3.2 dev c0 nud permanent
ip -n server neigh change 10.0.3.1 dev s0 nud permanent
trace_on "family == 7 && hook == 2 && (protocol == 1 || protocol == 0)"
check "bridge: nftables: a rule of the bridge family drops the replies" "$(pings 2)" 0
in_net client "$here/arp.py" c0 10.0.3.1 10.0.3.2 1
events 6
check "bridge: nftables: events of IPv4 and of ARP, which has no addresses here" \
	"$(trace | columns pf protocol verdict policy in out saddr daddr | sort -u)" \
	"7 0 ACCEPT 0 r1 r0 :: ::
7 0 ACCEPT 1 r0 r1 :: ::
7 1 ACCEPT 1 r0 r1 ::ffff:10.0.3.1 ::ffff:10.0.3.2
7 1 DROP 0 r1 r0 ::ffff:10.0.3.2 ::ffff:10.0.3.1"
in_net router nft flush ruleset

done_testing
