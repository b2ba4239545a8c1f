#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The number of the ruleset in an event: new with each replacement, and enough to map an offset
# to its rule or to nothing, never to another rule. REPLACEMENTS: how many.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

replacements=${REPLACEMENTS:-1000}
make_hosts
modprobe ip_tables

# number_of COMMAND...: prints the number of the ruleset of the router after a change.
number_of() {
	in_net router "$@" >/dev/null
	trace_on "table == 'filter' && hook == 2"
	datagrams $server 9
	events 1
	trace | columns ruleset | head -n 1
}
a=$(number_of iptables-legacy -A FORWARD -p udp -j ACCEPT)
b=$(number_of iptables-legacy -A FORWARD -p tcp -j ACCEPT)
c=$(number_of iptables-legacy -D FORWARD 2)
d=$(number_of iptables-legacy -L -n -v)
check_that "ruleset: each change has a higher number ($a, $b, $c), a listing has none ($d)" \
	test "$a" -gt 0 -a "$a" -lt "$b" -a "$b" -lt "$c" -a "$c" = "$d"
trace_off
# This rule does not name its port.
ipt router -F FORWARD

instance=$tracefs/instances/snapshots
trace_on "table == 'filter' && hook == 2 && net_cookie == $(netns_cookie router)"
echo mono >"$instance/trace_clock"
echo 8192 >"$instance/buffer_size_kb"
flood_on 2000 1001-1016 101-116
# Not by a process substitution, which could still have the trace open at the end.
counts=$(in_net router "$REPO/tools/testing/guest/snapshots.py" "$replacements")
read -r rulesets events resolved wrong naive <<<"$counts"
flood_off
echo "# $events events with a rule; $naive wrong rules if any snapshot were believed"
check "snapshots: $replacements replacements: no offset is mapped to a wrong rule" "$wrong" 0
check_that "snapshots: $rulesets rulesets had traffic, $resolved offsets are mapped to rules" \
	test "$rulesets" -gt $((replacements / 10)) -a $((10 * resolved)) -gt "$events"
check_that "snapshots: without the number of the ruleset, offsets are mapped to wrong rules" \
	test "$naive" -gt 0

done_testing
