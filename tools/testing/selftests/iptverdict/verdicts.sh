#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# ipt_verdict: all fields, in every table and chain, with every verdict.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

make_hosts
# ping1 ARGS: the client sends a request and waits for the reply.
ping1() {
	in_net client ping -qc 1 -W 10 "$@" >/dev/null 2>&1 || :
}
# lost_ping ARGS: the client sends a request and does not wait.
lost_ping() {
	in_net client ping -qc 1 -W 0.01 "$@" >/dev/null 2>&1 || :
}

for table in raw mangle filter security; do
	ipt router -t $table -L -n >/dev/null
done
# The nat table sees packets only while connections are tracked.
ipt router -t nat -A POSTROUTING -p gre -j MASQUERADE
cookie=$(netns_cookie router) netns=$(netns_inode router)
trace_on "net_cookie == $cookie"
ping1 $server
check "ipt_verdict: tables and chains of a forwarded packet and its reply" \
	"$(trace | columns table hook verdict)" "$through_and_back"

trace_on "net_cookie == $cookie"
ping1 $router
check "ipt_verdict: tables and chains of a packet to the router and its reply" \
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

trace_on "table == 'filter' && hook == 2"
ping1 -s 100 $server
check "ipt_verdict: every field of a forwarded request" \
	"$(any_rule | head -n 1)" \
	"table=filter hook=FORWARD verdict=ACCEPT queue=0 bypass=0 errno=0 policy=1 rule=N $(
	)ruleset=N in=r0 out=r1 mark=0x0 ctstate=NEW skbaddr=PTR $(
	)net_cookie=$cookie netns=$netns pf=2 len=128 protocol=1 saddr=$client daddr=$server"
check "ipt_verdict: devices and addresses of the reply" \
	"$(trace | sed -n 2p | grep -o ' in=.* out=[^ ]*\|saddr=.*')" \
	" in=r1 out=r0
saddr=$server daddr=$client"

# verdict_of RULE...: prints verdict, policy, queue, bypass and errno of a packet that meets this
# rule.
verdict_of() {
	ipt router -I FORWARD "$@"
	trace_on "table == 'filter' && hook == 2 && in == 'r0'"
	lost_ping $server
	events 1
	trace | head -n 1 | columns verdict policy queue bypass errno
	ipt router -D FORWARD "$@"
}

check "ipt_verdict: ACCEPT of a rule" "$(verdict_of -p icmp -j ACCEPT)" "ACCEPT 0 0 0 0"
check "ipt_verdict: DROP of a rule" "$(verdict_of -p icmp -j DROP)" "DROP 0 0 0 0"
check "ipt_verdict: REJECT is DROP" "$(verdict_of -p icmp -j REJECT)" "DROP 0 0 0 0"
check "ipt_verdict: QUEUE has queue 0" "$(verdict_of -p icmp -j QUEUE)" "QUEUE 0 0 0 0"
check "ipt_verdict: NFQUEUE has its queue number" \
	"$(verdict_of -p icmp -j NFQUEUE --queue-num 4711)" "QUEUE 0 4711 0 0"
check "ipt_verdict: NFQUEUE has the highest queue number" \
	"$(verdict_of -p icmp -j NFQUEUE --queue-num 65535)" "QUEUE 0 65535 0 0"
check "ipt_verdict: MARK leaves the verdict to the policy" \
	"$(verdict_of -p icmp -j MARK --set-mark 1)" "ACCEPT 1 0 0 0"

ipt router -P FORWARD DROP
check "ipt_verdict: DROP of the policy" "$(verdict_of -p udp)" "DROP 1 0 0 0"
check "ipt_verdict: ACCEPT of a rule before policy DROP" \
	"$(verdict_of -p icmp -j ACCEPT)" "ACCEPT 0 0 0 0"
ipt router -P FORWARD ACCEPT

# queued FILTER: prints whether a request gets its reply, and the number of events of QUEUE that
# satisfy FILTER. Queue 1 has no listener: with bypass, packets pass.
queued() {
	trace_on "table == 'filter' && hook == 2 && verdict == 3 && queue == 1 && $1"
	in_net client ping -qc 1 -W 1 $server >/dev/null 2>&1 && echo passed || echo lost
	events 1
	trace | wc -l
}
ipt router -A FORWARD -p icmp --icmp-type echo-request -j NFQUEUE --queue-num 1
check "ipt_verdict: NFQUEUE without bypass: packet lost" "$(queued "bypass == 0")" $'lost\n1'
ipt router -F FORWARD
ipt router -A FORWARD -p icmp --icmp-type echo-request -j NFQUEUE --queue-num 1 --queue-bypass
check "ipt_verdict: NFQUEUE with bypass: packet passed" "$(queued "bypass == 1")" $'passed\n1'
ipt router -F FORWARD

# SYNPROXY replies to the SYN itself and steals it.
in_net router sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0 net.ipv4.tcp_syncookies=1
ipt router -t raw -A PREROUTING -p tcp --dport 80 --syn -j CT --notrack
ipt router -A FORWARD -p tcp --dport 80 -m state --state INVALID,UNTRACKED -j SYNPROXY
trace_on "verdict == 2"
syn $server 80
events 1
check "ipt_verdict: STOLEN: every field; packet, length and addresses are 0" \
	"$(any_rule | head -n 1)" \
	"table=filter hook=FORWARD verdict=STOLEN queue=0 bypass=0 errno=0 policy=0 rule=N $(
	)ruleset=N in=r0 out=r1 mark=0x0 ctstate=NONE skbaddr=NULL $(
	)net_cookie=$cookie netns=$netns pf=2 len=0 protocol=0 saddr=0.0.0.0 daddr=0.0.0.0"
trace_on "verdict == 2 && skbaddr != 0"
syn $server 80
settle
check "ipt_verdict: STOLEN never has a packet" "$(trace)" ""
trace_on "verdict != 2 && skbaddr == 0"
ping1 $server
settle
check "ipt_verdict: all verdicts but STOLEN have a packet" "$(trace)" ""

done_testing
