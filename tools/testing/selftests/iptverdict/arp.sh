#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# arpt_verdict: what ipt_verdict is, for ARP.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2034 # lib.sh uses them
event=arpt_verdict event_module=arp_tables
make_hosts
arpt() {
	local name=$1
	shift
	ip netns exec "$name" arptables-legacy "$@"
}
# ask SENDER TARGET COUNT: requests of the client, past its own neighbour table.
cat >"$work/ask.py" <<-E
	import socket, sys
	raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
	raw.bind(("c0", 0x806))
	mac = raw.getsockname()[4]
	for _ in range(int(sys.argv[3])):
	    raw.send(b"\xff" * 6 + mac + b"\x08\x06" + b"\0\1\x08\0\6\4\0\1" +
	             mac + socket.inet_aton(sys.argv[1]) +
	             bytes(6) + socket.inet_aton(sys.argv[2]))
E
ask() {
	host client python3 "$work/ask.py" "$@"
	sleep 0.2
}

trace_on
check "fields of the record" "$(fields)" "$(record 4 "u16 op 2")"

arpt router -L -n >/dev/null
cookie=$(netns_cookie router)
# The router may ask as well; of its own packets this is the answer.
request="op == 1 && daddr == $(as_integer $router)"
answer="op == 2 && saddr == $(as_integer $router)"
trace_on "net_cookie == $cookie && (($request) || ($answer))"
ask $client $router 1
check "every field of the request and of the answer" "$(any_rule)" \
	"table=filter hook=INPUT verdict=ACCEPT policy=1 rule=N in=r0 out= skbaddr=PTR $(
	)net_cookie=$cookie len=28 op=1 saddr=$client daddr=$router
table=filter hook=OUTPUT verdict=ACCEPT policy=1 rule=N in= out=r0 skbaddr=PTR $(
	)net_cookie=$cookie len=42 op=2 saddr=$router daddr=$client"

# The deciding rule, in the built-in chain, in a user chain, and the policy.
arpt router -N user
arpt router -A user -s 10.0.1.3 -j ACCEPT
arpt router -A user -s $client -j DROP
arpt router -A INPUT -s 10.0.9.9 -j DROP
arpt router -A INPUT -i r0 -j user
# request_is: verdict, policy and rule of a request that comes in.
request_is() {
	trace_on "net_cookie == $cookie && hook == 0 && $request"
	ask $client $router 1
	host router "$here/ruleset.py" blob filter arp >"$work/blob"
	local line
	trace | head -n 1 | while read -r line; do
		echo "$(columns verdict policy <<<"$line") $(name_of "$(field rule <<<"$line")")"
	done
}
check "a rule of a user chain" "$(request_is)" "DROP 0 user 2"
arpt router -D user 2
check "the policy, after the end of a user chain" "$(request_is)" "ACCEPT 1 INPUT policy"
arpt router -P INPUT DROP
check "policy DROP" "$(request_is)" "DROP 1 INPUT policy"
arpt router -A INPUT -s $client -j ACCEPT
check "a rule before it" "$(request_is)" "ACCEPT 0 INPUT 3"
# mangle changes the packet, and what the event tells is what it has become.
arpt router -A OUTPUT -d $client -j mangle --mangle-ip-s 10.0.1.77
trace_on "net_cookie == $cookie && hook == 1 && op == 2"
ask $client $router 1
check "mangle" "$(trace | head -n 1 | columns verdict saddr daddr)" "ACCEPT 10.0.1.77 $client"

if have_module "the counters of arptables"; then
	# New hosts, which ask for nothing yet, and requests of known number.
	remove_hosts
	make_hosts
	arpt router -A INPUT -s 10.0.1.3 -j DROP
	modprobe iptverdict
	trace_on "net_cookie == $(netns_cookie router)"
	ask $client 10.0.1.9 20
	ask 10.0.1.3 10.0.1.9 7
	sleep 0.5
	check "the module counts them" "$(grep ^arp $debugfs/stats)" \
		"arp filter INPUT DROP 7 196
arp filter INPUT ACCEPT 20 560"
	check "and so does the event" \
		"$(trace | columns hook verdict len saddr | sort | uniq -c | xargs)" \
		"20 INPUT ACCEPT 28 $client 7 INPUT DROP 28 10.0.1.3"
	rmmod iptverdict
fi

done_testing
