#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# ip6t_verdict: fields, verdicts and deciding rules of IPv6, and the counters of the module.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2034 # lib.sh uses them
event=ip6t_verdict event_module=ip6_tables
make_hosts
# ping1 ARGS: the client sends a request and waits for the reply.
ping1() {
	in_net client ping -6 -qc 1 -W 10 "$@" >/dev/null 2>&1 || :
}
# From here on, the hosts know their neighbours.
ping1 $server6

trace_on
check "ip6t_verdict: fields, types and sizes of the record" "$(fields)" \
	"$(record 16 "u8 protocol 1")"

for table in raw mangle filter security; do
	ip6t router -t $table -L -n >/dev/null
done
# The nat table sees packets only while connections are tracked.
ip6t router -t nat -A POSTROUTING -p gre -j MASQUERADE
cookie=$(netns_cookie router) netns=$(netns_inode router)
echo_only="protocol == 58 && len == 104"
trace_on "net_cookie == $cookie && $echo_only"
ping1 $server6
check "ip6t_verdict: tables and chains of a forwarded packet and its reply" \
	"$(trace | columns table hook verdict)" "$through_and_back"

trace_on "table == 'filter' && hook == 2"
ping1 -s 100 $server6
check "ip6t_verdict: every field of a forwarded request and its reply" "$(any_rule)" \
	"table=filter hook=FORWARD verdict=ACCEPT queue=0 bypass=0 errno=0 policy=1 rule=N $(
	)ruleset=N in=r0 out=r1 mark=0x0 ctstate=NEW skbaddr=PTR $(
	)net_cookie=$cookie netns=$netns pf=10 len=148 protocol=58 saddr=$client6 daddr=$server6
table=filter hook=FORWARD verdict=ACCEPT queue=0 bypass=0 errno=0 policy=1 rule=N $(
	)ruleset=N in=r1 out=r0 mark=0x0 ctstate=ESTABLISHED_REPLY skbaddr=PTR $(
	)net_cookie=$cookie netns=$netns pf=10 len=148 protocol=58 saddr=$server6 daddr=$client6"

trace_on "table == 'filter' && hook == 1 && $echo_only"
ping1 $router6
check "ip6t_verdict: every field of an incoming packet" "$(any_rule)" \
	"table=filter hook=INPUT verdict=ACCEPT queue=0 bypass=0 errno=0 policy=1 rule=N $(
	)ruleset=N in=r0 out= mark=0x0 ctstate=NEW skbaddr=PTR $(
	)net_cookie=$cookie netns=$netns pf=10 len=104 protocol=58 saddr=$client6 daddr=$router6"

# Comments name the rules.
in_net router ip6tables-legacy-restore <<'E'
*filter
:INPUT ACCEPT
:FORWARD DROP
:OUTPUT ACCEPT
:outer -
:inner -
-A FORWARD -p udp --dport 1 -m comment --comment direct -j ACCEPT
-A FORWARD -p udp --dport 2:4 -j outer
-A FORWARD -p udp --dport 4 -m comment --comment after-return -j REJECT
-A FORWARD -p udp --dport 5 -m comment --comment queues -j NFQUEUE --queue-num 4711
-A FORWARD -p udp --dport 6 -g inner
-A FORWARD -p udp --dport 7 -m comment --comment marks -j MARK --set-mark 8
-A FORWARD -p udp --dport 7 -m comment --comment after-mark -j DROP
-A FORWARD -p 132 -m comment --comment before-hotdrop -j MARK --set-mark 1
-A FORWARD -p 132 -m multiport --dports 9 -m comment --comment hotdrop -j ACCEPT
-A FORWARD -p 132 -m comment --comment after-hotdrop -j ACCEPT
-A outer -p udp --dport 2 -j inner
-A outer -p udp --dport 3 -m comment --comment in-outer -j DROP
-A inner -p udp --dport 2 -m comment --comment in-inner -j ACCEPT
COMMIT
E
blob filter ipv6
# udp PORT: prints verdict and rule of a datagram from the client to the server.
udp() {
	trace_on "table == 'filter' && hook == 2 && protocol == 17"
	datagrams $server6 "$1"
	events 1
	decided_by verdict
}
check "ip6t_verdict: rule in a base chain" "$(udp 1)" "ACCEPT direct"
check "ip6t_verdict: rule two jumps deep" "$(udp 2)" "ACCEPT in-inner"
check "ip6t_verdict: rule in a user chain" "$(udp 3)" "DROP in-outer"
check "ip6t_verdict: rule after the end of a user chain" "$(udp 4)" "DROP after-return"
check "ip6t_verdict: NFQUEUE has its queue number" \
	"$(udp 5) $(trace | field queue)" "QUEUE queues 4711"
check "ip6t_verdict: the policy, after goto" "$(udp 6)" "DROP FORWARD policy"
check "ip6t_verdict: rule after a target that continues" "$(udp 7)" "DROP after-mark"
check "ip6t_verdict: the policy, if no rule matches" "$(udp 8)" "DROP FORWARD policy"
# A match on ports causes a hot drop if the packet is too short to have them.
trace_on "table == 'filter' && hook == 2"
in_net client "$here/send.py" --protocol 132 $server6 0 2
events 1
check "ip6t_verdict: hot drop: the rule whose match caused it" \
	"$(decided_by verdict)" "DROP hotdrop"

# SYNPROXY replies to the SYN itself and steals it.
in_net router sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0 net.ipv4.tcp_syncookies=1
ip6t router -t raw -A PREROUTING -p tcp --dport 80 --syn -j CT --notrack
ip6t router -A FORWARD -p tcp --dport 80 -m state --state INVALID,UNTRACKED -j SYNPROXY
trace_on "verdict == 2"
syn $server6 80
events 1
check "ip6t_verdict: STOLEN: every field; packet, length and addresses are 0" \
	"$(any_rule | head -n 1)" \
	"table=filter hook=FORWARD verdict=STOLEN queue=0 bypass=0 errno=0 policy=0 rule=N $(
	)ruleset=N in=r0 out=r1 mark=0x0 ctstate=NONE skbaddr=NULL $(
	)net_cookie=$cookie netns=$netns pf=10 len=0 protocol=0 saddr=:: daddr=::"

if have_module "module: IPv6 verdicts"; then
	modprobe iptverdict
	ip6t router -t raw -F
	ip6t router -D FORWARD -p tcp --dport 80 -m state --state INVALID,UNTRACKED -j SYNPROXY
	ip6t router -P FORWARD ACCEPT
	zero_counters
	in_net client ping -6 -qc 10 -i 0.01 $server6 >/dev/null
	in_net client "$here/send.py" $server6 1-10 0-399
	settle
	both_counters "$work/got" "$work/saved"
	check "module: IPv6 verdicts agree with the counters of ip6tables" \
		"$(cat "$work/got")" "$("$here/ruleset.py" verdicts <"$work/saved")"
	# 40 datagrams of 4, 14, ... 394 bytes and 48 of headers.
	check "module: packets and bytes of QUEUE of IPv6" \
		"$(sed -n 's/^ipv6 filter FORWARD QUEUE //p' "$work/got")" "40 9880"
	rmmod iptverdict
fi

done_testing
