#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Tables, chains, verdicts: everything that the event says of a packet.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

make_hosts
ping1() {
	host client ping -qc 1 -W 1 "$@" >/dev/null 2>&1 || :
}

# What a packet that is forwarded sees, and one to the router itself.
for table in raw mangle filter security; do
	ipt router -t $table -L -n >/dev/null
done
# The nat table sees packets when connections are tracked.
ipt router -t nat -A POSTROUTING -p gre -j MASQUERADE
cookie=$(netns_cookie router)
trace_on "net_cookie == $cookie"
ping1 $server
check "all tables and chains on the way through, and back" \
	"$(trace | columns table hook verdict)" "$through_and_back"

trace_on "net_cookie == $cookie"
ping1 $router
check "all tables and chains to the host itself, and from it" \
	"$(trace | columns table hook verdict)" \
	"raw PREROUTING ACCEPT
mangle PREROUTING ACCEPT
nat PREROUTING ACCEPT
mangle INPUT ACCEPT
filter INPUT ACCEPT
security INPUT ACCEPT
nat INPUT ACCEPT
raw OUTPUT ACCEPT
mangle OUTPUT ACCEPT
filter OUTPUT ACCEPT
security OUTPUT ACCEPT
mangle POSTROUTING ACCEPT"

# Every field of one event; the address of the packet only has to be there.
trace_on "table == 'filter' && hook == 2"
ping1 -s 100 $server
check "every field of the request" \
	"$(any_rule | head -n 1)" \
	"table=filter hook=FORWARD verdict=ACCEPT policy=1 rule=N in=r0 out=r1 skbaddr=PTR $(
	)net_cookie=$cookie len=128 protocol=1 saddr=$client daddr=$server"
check "the reply goes the other way" \
	"$(trace | sed -n 2p | grep -o ' in=.* out=[^ ]*\|saddr=.*')" \
	" in=r1 out=r0
saddr=$server daddr=$client"

# verdict_of RULE...: what the event says of a packet that the rule decides on.
verdict_of() {
	ipt router -I FORWARD "$@"
	trace_on "table == 'filter' && hook == 2"
	ping1 $server
	trace | head -n 1 | sed 's/.*verdict=\(.*\) rule=.*/\1/'
	ipt router -D FORWARD "$@"
}

check "ACCEPT" "$(verdict_of -p icmp -j ACCEPT)" "ACCEPT policy=0"
check "DROP" "$(verdict_of -p icmp -j DROP)" "DROP policy=0"
check "REJECT" "$(verdict_of -p icmp -j REJECT)" "DROP policy=0"
check "QUEUE" "$(verdict_of -p icmp -j QUEUE)" "QUEUE queue=0"
check "NFQUEUE with its number" \
	"$(verdict_of -p icmp -j NFQUEUE --queue-num 4711)" "QUEUE queue=4711"
check "the highest NFQUEUE number" \
	"$(verdict_of -p icmp -j NFQUEUE --queue-num 65535)" "QUEUE queue=65535"
check "MARK goes on to the policy" "$(verdict_of -p icmp -j MARK --set-mark 1)" "ACCEPT policy=1"

ipt router -P FORWARD DROP
check "policy DROP" "$(verdict_of -p udp)" "DROP policy=1"
check "a rule before policy DROP" "$(verdict_of -p icmp -j ACCEPT)" "ACCEPT policy=0"
ipt router -P FORWARD ACCEPT

# Nobody listens on queue 1: bypass lets the packet through, as without rule.
raw_verdict() {
	trace_on "table == 'filter' && hook == 2 && verdict $1"
	host client ping -qc 1 -W 1 $server >/dev/null 2>&1 && echo passed || echo lost
	trace | wc -l
}
ipt router -A FORWARD -p icmp --icmp-type echo-request -j NFQUEUE --queue-num 1
check "QUEUE without bypass: upper bits and fate" "$(raw_verdict "== 0x10003")" $'lost\n1'
ipt router -F FORWARD
ipt router -A FORWARD -p icmp --icmp-type echo-request -j NFQUEUE --queue-num 1 --queue-bypass
check "QUEUE with bypass: upper bits and fate" "$(raw_verdict "== 0x18003")" $'passed\n1'
ipt router -F FORWARD

# SYNPROXY answers the SYN itself and keeps the packet.
host router sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0 net.ipv4.tcp_syncookies=1
ipt router -t raw -A PREROUTING -p tcp --dport 80 --syn -j CT --notrack
ipt router -A FORWARD -p tcp --dport 80 -m state --state INVALID,UNTRACKED -j SYNPROXY
trace_on "verdict == 2"
syn $server 80
check "STOLEN by SYNPROXY: no packet, no guess about it" \
	"$(any_rule | head -n 1)" \
	"table=filter hook=FORWARD verdict=STOLEN policy=0 rule=N in=r0 out=r1 skbaddr=NULL $(
	)net_cookie=$cookie len=0 protocol=0 saddr=0.0.0.0 daddr=0.0.0.0"
trace_on "verdict == 2 && skbaddr != 0"
syn $server 80
check "STOLEN never has a packet" "$(trace)" ""
trace_on "verdict != 2 && skbaddr == 0"
ping1 $server
check "all others have one" "$(trace)" ""

done_testing
