#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The event as tools see it: its fields, filters and hist triggers.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

trace_on
make_hosts
events=$instance/events/iptables/ipt_verdict

check "fields of the record" "$(fields)" "$(record 4 "u8 protocol 1")"

check_that "names of chains reach user space as numbers" \
	grep -q '{ 1, "INPUT" }' "$events/format"

# One echo request and its reply: OUTPUT and INPUT of both ends.
ipt router -P FORWARD ACCEPT
ipt client -A OUTPUT -p icmp -j DROP
for filter in 'table == "filter"' 'hook == 3' 'verdict == 0' 'protocol == 1' 'policy == 0' \
	'rule >= 0' "daddr == $(as_integer $server)" 'len == 84' 'out == "c0"' 'in == ""' \
	"net_cookie == $(netns_cookie client)" 'skbaddr != 0'; do
	trace_on "$filter"
	host client ping -qc 1 -W 1 $server >/dev/null 2>&1 || :
	check "filter $filter" "$(trace | field verdict | sort -u)" DROP
done
trace_on 'verdict != 0 && in == "c0"'
host client ping -qc 1 -W 1 $server >/dev/null 2>&1 || :
check "filter that nothing passes" "$(trace)" ""

trace_on
echo 'hist:keys=table,hook,verdict:values=len' >"$events/trigger"
host client ping -qc 3 -i 0.2 -W 1 $server >/dev/null 2>&1 || :
check "hist trigger" \
	"$(sed -n '/^{ /{ s/[{},]//g; s/[a-z]*://g; p }' "$events/hist" | xargs)" "filter 3 0 3 252"
echo '!hist:keys=table,hook,verdict:values=len' >"$events/trigger"

done_testing
