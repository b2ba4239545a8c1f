#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# ip6t_verdict: what ipt_verdict is, for IPv6.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2034 # lib.sh uses them
event=ip6t_verdict event_module=ip6_tables
make_hosts
ping1() {
	host client ping -6 -qc 1 -W 1 "$@" >/dev/null 2>&1 || :
}
# Neighbours are known from here on.
ping1 $server6

trace_on
check "fields of the record" "$(fields)" "$(record 16 "u8 protocol 1")"

for table in raw mangle filter security; do
	ip6t router -t $table -L -n >/dev/null
done
# The nat table sees packets when connections are tracked.
ip6t router -t nat -A POSTROUTING -p gre -j MASQUERADE
cookie=$(netns_cookie router)
echo_only="protocol == 58 && len == 104"
trace_on "net_cookie == $cookie && $echo_only"
ping1 $server6
check "all tables and chains on the way through, and back" \
	"$(trace | columns table hook verdict)" "$through_and_back"

trace_on "table == 'filter' && hook == 2"
ping1 -s 100 $server6
check "every field of the request, and of the reply" "$(any_rule)" \
	"table=filter hook=FORWARD verdict=ACCEPT policy=1 rule=N in=r0 out=r1 skbaddr=PTR $(
	)net_cookie=$cookie len=148 protocol=58 saddr=$client6 daddr=$server6
table=filter hook=FORWARD verdict=ACCEPT policy=1 rule=N in=r1 out=r0 skbaddr=PTR $(
	)net_cookie=$cookie len=148 protocol=58 saddr=$server6 daddr=$client6"

trace_on "table == 'filter' && hook == 1 && $echo_only"
ping1 $router6
check "every field of a packet that comes in" "$(any_rule)" \
	"table=filter hook=INPUT verdict=ACCEPT policy=1 rule=N in=r0 out= skbaddr=PTR $(
	)net_cookie=$cookie len=104 protocol=58 saddr=$client6 daddr=$router6"

# The deciding rule: comments name the rules.
host router ip6tables-legacy-restore <<'E'
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
host router "$here/ruleset.py" blob filter ipv6 >"$work/blob"
udp() {
	trace_on "table == 'filter' && hook == 2 && protocol == 17"
	host client python3 -c "
import socket
socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('$server6', $1))"
	decided_by
}
check "a rule of the built-in chain" "$(udp 1)" "ACCEPT direct"
check "a rule two jumps deep" "$(udp 2)" "ACCEPT in-inner"
check "a rule of a user chain" "$(udp 3)" "DROP in-outer"
check "a rule after the end of a user chain" "$(udp 4)" "DROP after-return"
check "QUEUE" "$(udp 5) $(trace | field queue)" "QUEUE queues 4711"
check "the policy, after a goto" "$(udp 6)" "DROP FORWARD policy"
check "a rule after one that goes on" "$(udp 7)" "DROP after-mark"
check "the policy, after no match" "$(udp 8)" "DROP FORWARD policy"
trace_on "table == 'filter' && hook == 2"
host client python3 -c "
import socket
socket.socket(socket.AF_INET6, socket.SOCK_RAW, 132).sendto(b'xy', ('$server6', 0))"
check "a match that asks for a hot drop" "$(decided_by)" "DROP hotdrop"

# SYNPROXY answers the SYN itself and keeps the packet.
host router sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0 net.ipv4.tcp_syncookies=1
ip6t router -t raw -A PREROUTING -p tcp --dport 80 --syn -j CT --notrack
ip6t router -A FORWARD -p tcp --dport 80 -m state --state INVALID,UNTRACKED -j SYNPROXY
trace_on "verdict == 2"
syn $server6 80
check "STOLEN by SYNPROXY: no packet, no guess about it" "$(any_rule | head -n 1)" \
	"table=filter hook=FORWARD verdict=STOLEN policy=0 rule=N in=r0 out=r1 skbaddr=NULL $(
	)net_cookie=$cookie len=0 protocol=0 saddr=:: daddr=::"

if have_module "the counters of ip6tables"; then
	modprobe iptverdict
	ip6t router -t raw -F
	ip6t router -D FORWARD -p tcp --dport 80 -m state --state INVALID,UNTRACKED -j SYNPROXY
	ip6t router -P FORWARD ACCEPT
	zero_counters
	host client ping -6 -qc 10 -i 0.01 $server6 >/dev/null
	host client python3 -c "
import socket
out = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for i in range(400):
    try:
        out.sendto(b'x' * i, ('$server6', 1 + i % 10))
    except OSError:
        pass  # the ICMP error of an earlier datagram"
	sleep 0.5
	both_counters "$work/got" "$work/saved"
	check "module and ip6tables agree" \
		"$(cat "$work/got")" "$("$here/ruleset.py" verdicts <"$work/saved")"
	# 40 datagrams of 4, 14, ... 394 bytes and 48 of headers.
	check "on that traffic" "$(sed -n 's/^ipv6 filter FORWARD QUEUE //p' "$work/got")" "40 9880"
	rmmod iptverdict
fi

done_testing
