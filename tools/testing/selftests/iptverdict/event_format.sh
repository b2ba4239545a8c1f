#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# ipt_verdict: its format, filters and hist triggers.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

trace_on
make_hosts
files=$instance/events/iptables/ipt_verdict

check "ipt_verdict: fields, types and sizes of the record" "$(fields)" \
	"$(record 4 "u8 protocol 1")"
check_that "ipt_verdict: the format has the numbers of chain names" \
	grep -q '{ 1, "INPUT" }' "$files/format"

# pings N: sends N requests, which the client's own ruleset drops.
ipt router -P FORWARD ACCEPT
ipt client -A OUTPUT -p icmp -j DROP
pings() {
	in_net client ping -m 23 -qc "$1" -i 0.01 -W 0.01 $server >/dev/null 2>&1 || :
}
for filter in 'table == "filter"' 'hook == 3' 'pf == 2' 'verdict == 0' 'queue == 0' 'errno == 0' \
	'bypass == 0' 'policy == 0' 'rule >= 0' 'ruleset > 0' 'protocol == 1' 'len == 84' \
	"saddr == $(as_integer $client)" "daddr == $(as_integer $server)" 'in == ""' 'out == "c0"' \
	'mark == 23' 'ctstate == 255' "net_cookie == $(netns_cookie client)" \
	"netns == $(netns_inode client)" 'skbaddr != 0'; do
	trace_on "$filter"
	pings 1
	events 1
	check "ipt_verdict: filter: $filter" "$(trace | field verdict | sort -u)" DROP
done
trace_on 'verdict != 0 && in == "c0"'
pings 1
settle
check "ipt_verdict: filter: without a match, no events" "$(trace)" ""

trace_on
echo 'hist:keys=table,hook,verdict:values=len' >"$files/trigger"
pings 3
events 3
check "ipt_verdict: hist trigger counts events and adds up lengths" \
	"$(sed -n '/^{ /{ s/[{},]//g; s/[a-z]*://g; p }' "$files/hist" | xargs)" "filter 3 0 3 252"
echo '!hist:keys=table,hook,verdict:values=len' >"$files/trigger"

# not_a_key: prints the fields of the event that hist triggers do not accept as a key.
not_a_key() {
	local name
	for name in $(fields | sed -E 's/(\[[0-9]+\])? [0-9]+$//; s/.* //'); do
		echo "hist:keys=$name" 2>/dev/null >"$instance/events/iptables/$event/trigger" ||
			echo "$name"
		echo "!hist:keys=$name" 2>/dev/null >"$instance/events/iptables/$event/trigger" || :
	done
}
check "ipt_verdict: hist trigger: every field can be a key" "$(not_a_key)" ""
event=ip6t_verdict
modprobe ip6_tables
check "ip6t_verdict: hist trigger: IPv6 addresses cannot be keys" \
	"$(not_a_key | xargs)" "saddr daddr"

# Two queues, one of them with a flag; a rule and the policy.
event=ipt_verdict
ipt router -A FORWARD -p udp --dport 1 -j NFQUEUE --queue-num 1
ipt router -A FORWARD -p udp --dport 2 -j NFQUEUE --queue-num 2 --queue-bypass
ipt router -A FORWARD -p udp --dport 3 -j DROP
ipt router -P FORWARD DROP
echo 'hist:keys=verdict if hook == 2' >"$files/trigger"
trace_on "hook == 2"
# The policy also drops the error that the server returns to the second datagram.
datagrams $server 1 2 3 4
events 5
check "hist trigger: by verdict, one line for each verdict" \
	"$(sed -n '/^{ /{ s/[{},]//g; s/[a-z]*://g; p }' "$files/hist" | sort | xargs)" "0 3 3 2"
echo '!hist:keys=verdict if hook == 2' >"$files/trigger"

done_testing
