#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# nftables before and after iptables at the same hook: a table of iptables that accepts a
# packet does not decide its fate.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

make_hosts
for command in ipt ip6t; do
	$command router -A FORWARD -p udp --dport 4 -j DROP
	$command server -A INPUT -p udp -j ACCEPT
done
# The filter tables of iptables have the priority 0.
in_net router nft -f - <<'E'
table netdev ingress {
	chain ingress {
		type filter hook ingress device "r0" priority 0
		udp dport 1 counter drop
	}
}
table inet before {
	chain forward {
		type filter hook forward priority -1
		udp dport 2 counter drop
	}
}
table inet after {
	chain forward {
		type filter hook forward priority 1
		udp dport 3 ct state new counter drop
		udp dport 4 counter drop
	}
}
E

# verdicts_of PORT: prints chain and verdict of the datagram to this port, which has PORT
# bytes of payload.
verdicts_of() {
	trace | columns hook verdict len | sed -n "s/ $((header + $1))$//p"
}
# fates ADDRESS HEADER: sends datagrams to the ports 1 to 5, and checks their verdicts in
# router and server. HEADER: the length of their headers.
fates() {
	local header=$2
	trace_on "table == 'filter' && protocol == 17"
	in_net client "$here/send.py" "$1" 1-5 1-5
	events 4
	check "nft: $event: none if a netdev chain drops the packet" "$(verdicts_of 1)" ""
	check "nft: $event: none if a chain of a lower priority drops the packet" \
		"$(verdicts_of 2)" ""
	check "nft: $event: ACCEPT of a packet that a chain of a higher priority drops" \
		"$(verdicts_of 3)" "FORWARD ACCEPT"
	check "nft: $event: DROP if iptables drops the packet" "$(verdicts_of 4)" "FORWARD DROP"
	check "nft: $event: ACCEPT at both hosts of a packet that arrives" "$(verdicts_of 5)" \
		$'FORWARD ACCEPT\nINPUT ACCEPT'
}
fates $server 28
# shellcheck disable=SC2034 # lib.sh uses them
event=ip6t_verdict event_module=ip6_tables
fates $server6 48
# The chain after iptables does not see what iptables drops.
check "nft: packets that each rule drops" \
	"$(in_net router nft list ruleset |
		sed -n 's/.* dport \([0-9]*\) .*counter packets \([0-9]*\) .*/\1 \2/p' | xargs)" \
	"1 2 2 2 3 2 4 0"

# A match of xtables in a rule of nftables.
# shellcheck disable=SC2034 # lib.sh uses them
event=ipt_verdict event_module=ip_tables
in_net router iptables-nft -A FORWARD -p udp -m string --algo bm --string xxxxx -j DROP
# dropped: prints the packets that the rule has dropped.
dropped() {
	in_net router iptables-nft -nvxL FORWARD 2>/dev/null | awk '$3 == "DROP" { print $1 }'
}
trace_on "verdict == 0"
in_net client "$here/send.py" $server 5 5
settle
check "nft: iptables-nft: a rule that drops causes no DROP of ipt_verdict" \
	"$(dropped), $(trace)" "1, "

done_testing
