#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# arpt_verdict: fields, verdicts and deciding rules of ARP, and the counters of the module.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2034 # lib.sh uses them
event=arpt_verdict event_module=arp_tables
make_hosts
# arpt HOST ARGS: runs arptables on a host.
arpt() {
	local name=$1
	shift
	in_net "$name" arptables-legacy "$@"
}
# ask SENDER TARGET COUNT: the client sends ARP requests, whatever its neighbour table has.
ask() {
	in_net client "$here/arp.py" c0 "$@"
}

trace_on
check "arpt_verdict: fields, types and sizes of the record" "$(fields)" "$(record 4 "u16 op 2")"

arpt router -L -n >/dev/null
cookie=$(netns_cookie router) netns=$(netns_inode router)
# The router may send requests of its own; of its packets, only the reply counts.
number=$(as_integer $router)
request="op == 1 && daddr == $number"
reply="op == 2 && saddr == $number"
trace_on "net_cookie == $cookie && (($request) || ($reply))"
ask $client $router 1
events 2
settle
check "arpt_verdict: every field of a request and its reply" "$(any_rule)" \
	"table=filter hook=INPUT verdict=ACCEPT queue=0 bypass=0 errno=0 policy=1 rule=N $(
	)ruleset=N in=r0 out= mark=0x0 ctstate=NONE skbaddr=PTR $(
	)net_cookie=$cookie netns=$netns pf=3 len=28 op=1 saddr=$client daddr=$router
table=filter hook=OUTPUT verdict=ACCEPT queue=0 bypass=0 errno=0 policy=1 rule=N $(
	)ruleset=N in= out=r0 mark=0x0 ctstate=NONE skbaddr=PTR $(
	)net_cookie=$cookie netns=$netns pf=3 len=42 op=2 saddr=$router daddr=$client"

arpt router -N user
arpt router -A user -s 10.0.1.3 -j ACCEPT
arpt router -A user -s $client -j DROP
arpt router -A INPUT -s 10.0.9.9 -j DROP
arpt router -A INPUT -i r0 -j user
# request_is: prints verdict, policy and rule of a request from the client.
request_is() {
	trace_on "net_cookie == $cookie && hook == 0 && $request"
	ask $client $router 1
	blob filter arp
	events 1
	decided_by verdict policy | head -n 1
}
check "arpt_verdict: rule in a user chain" "$(request_is)" "DROP 0 user 2"
arpt router -D user 2
check "arpt_verdict: the policy, after the end of a user chain" "$(request_is)" \
	"ACCEPT 1 INPUT policy"
arpt router -P INPUT DROP
check "arpt_verdict: DROP of the policy" "$(request_is)" "DROP 1 INPUT policy"
arpt router -A INPUT -s $client -j ACCEPT
check "arpt_verdict: ACCEPT of a rule before policy DROP" "$(request_is)" "ACCEPT 0 INPUT 3"
# The event has the packet as the target leaves it.
arpt router -A OUTPUT -d $client -j mangle --mangle-ip-s 10.0.1.77
trace_on "net_cookie == $cookie && hook == 1 && op == 2"
ask $client $router 1
events 1
check "arpt_verdict: the sender that mangle has set" \
	"$(trace | head -n 1 | columns verdict saddr daddr)" "ACCEPT 10.0.1.77 $client"

if have_module "module: ARP verdicts"; then
	# New hosts send no requests of their own yet.
	remove_hosts
	make_hosts
	arpt router -A INPUT -s 10.0.1.3 -j DROP
	modprobe iptverdict
	trace_on "net_cookie == $(netns_cookie router)"
	ask $client 10.0.1.9 20
	ask 10.0.1.3 10.0.1.9 7
	events 27
	settle
	check "module: packets and bytes of ARP" "$(grep ^arp $debugfs/stats)" \
		"arp filter INPUT DROP 7 196
arp filter INPUT ACCEPT 20 560"
	check "arpt_verdict: one event per packet" \
		"$(trace | columns hook verdict len saddr | sort | uniq -c | xargs)" \
		"20 INPUT ACCEPT 28 $client 7 INPUT DROP 28 10.0.1.3"
	rmmod iptverdict
fi

done_testing
