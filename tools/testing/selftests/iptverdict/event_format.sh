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

# pings N: the client's requests, all of which its own ruleset drops.
ipt router -P FORWARD ACCEPT
ipt client -A OUTPUT -p icmp -j DROP
pings() {
	in_net client ping -qc "$1" -i 0.01 -W 0.01 $server >/dev/null 2>&1 || :
}
for filter in 'table == "filter"' 'hook == 3' 'verdict == 0' 'protocol == 1' 'policy == 0' \
	'rule >= 0' "daddr == $(as_integer $server)" 'len == 84' 'out == "c0"' 'in == ""' \
	"net_cookie == $(netns_cookie client)" 'skbaddr != 0'; do
	trace_on "$filter"
	pings 1
	events 1
	check "filter: $filter" "$(trace | field verdict | sort -u)" DROP
done
trace_on 'verdict != 0 && in == "c0"'
pings 1
settle
check "filter: without a match, no events" "$(trace)" ""

trace_on
echo 'hist:keys=table,hook,verdict:values=len' >"$files/trigger"
pings 3
events 3
check "hist trigger: counts events and adds up lengths" \
	"$(sed -n '/^{ /{ s/[{},]//g; s/[a-z]*://g; p }' "$files/hist" | xargs)" "filter 3 0 3 252"
echo '!hist:keys=table,hook,verdict:values=len' >"$files/trigger"

done_testing
