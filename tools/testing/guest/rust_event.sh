#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What a probe in Rust reads of an event: the deciding rule, devices and network namespace
# are those that the trace event records.
#
# needs CONFIG_RUST

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

make_hosts
modprobe nf_tables
ipt router -A FORWARD -p udp --dport 1 -j DROP
ipt router -A FORWARD -p udp --dport 2 -j REJECT
ip6t router -P FORWARD DROP
in_net router arptables-legacy -A INPUT -s 10.0.1.3 -j DROP
in_net client ping -qc 1 -W 1 $server >/dev/null
insmod "$KDIR/test-modules/rust_event.ko"

# logged FIELD...: prints these fields of the events that the module has logged.
logged() {
	dmesg | sed -n 's/.*rust_event: //p' | columns "$@"
}

# compare FAMILY COMMAND...: the fields of the events that the command causes in the router.
compare() {
	local family=$1 cookie got want
	shift
	cookie=$(netns_cookie router)
	trace_on "net_cookie == $cookie"
	dmesg --clear
	"$@" >/dev/null || :
	# Read again if a packet, such as a neighbour solicitation, came in between.
	while
		settle
		want=$(trace | columns table rule ruleset in out net_cookie)
		got=$(logged family table rule ruleset in out net_cookie | sed -n "/ $cookie\$/s/^$family //p")
		[[ $want != "$(trace | columns table rule ruleset in out net_cookie)" ]]
	do :; done
	check "rust_event: $family: rule, devices and namespace agree with the trace event" "$got" "$want"
}
both() {
	datagrams $server 1 2
	in_net client ping -qc 1 -W 1 $server
}
compare ipv4 both
# deciding: prints target and policy of what decided in FORWARD of the table filter.
deciding() {
	logged family table hook policy target netns | awk -v family="$1" -v netns="$netns" \
		'$1 == family && $2 == "filter" && $3 == 2 && $NF == netns { print $4, $5 == netns ? "" : $5 }'
}
netns=$(netns_inode router)
check "rust_event: target and policy of each deciding rule" "$(deciding ipv4 | sort -u)" "0 
0 REJECT
1 "
check "rust_event: the index of the device" "$(logged in ifindex | grep -m 1 '^r0 ')" \
	"r0 $(in_net router cat /sys/class/net/r0/ifindex 2>/dev/null ||
		ip -n router -o link show r0 | cut -d: -f1)"

# shellcheck disable=SC2034 # lib.sh uses them
event=ip6t_verdict event_module=ip6_tables
compare ipv6 in_net client ping -qc 1 -W 1 $server6
check "rust_event: a policy of IPv6" "$(deciding ipv6 | sort -u)" "1 "

# shellcheck disable=SC2034 # lib.sh uses them
event=arpt_verdict event_module=arp_tables
ask() {
	in_net client "$here/arp.py" c0 $client $router 1
}
compare arp ask
check "rust_event: a policy of ARP" "$(logged family table hook policy in | grep -m 1 'arp filter 0 .* r0')" \
	"arp filter 0 1 r0"

# nftables: a rule in a chain that another jumps to, and the policy.
in_net router nft -f - <<'E'
table inet rust {
	chain user {
		udp dport 9 drop
	}
	chain base {
		type filter hook forward priority 0; policy drop;
		jump user
	}
}
E
# shellcheck disable=SC2034 # lib.sh uses them
event=nft_verdict event_system=nftables event_module=nf_tables
trace_on
dmesg --clear
datagrams $server 9 1
datagrams $server6 9
events 3
check "rust_event: nftables: chain, rule and namespace agree with the trace event" \
	"$(logged family table chain handle policy net_cookie | grep '^inet')" \
	"$(trace | columns family table chain handle policy net_cookie)"
check "rust_event: nftables: the family of the packet" "$(logged nft policy | grep -v '^ ' | xargs)" \
	"ipv4 0 ipv4 1 ipv6 0"
rmmod rust_event

done_testing
