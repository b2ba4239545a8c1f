#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# ipt_verdict: the offset of the deciding rule finds the entry in the blob that the kernel
# returns to iptables, however the traversal ends.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

make_hosts
# Comments name the rules: only the blob has them.
in_net router iptables-legacy-restore <<'E'
*filter
:INPUT ACCEPT
:FORWARD DROP
:OUTPUT ACCEPT
:outer -
:inner -
:deep -
:went -
-A FORWARD -p udp --dport 1 -m comment --comment direct -j ACCEPT
-A FORWARD -p udp --dport 2:5 -j outer
-A FORWARD -p udp --dport 5 -m comment --comment after-return -j ACCEPT
-A FORWARD -p udp --dport 6 -g went
-A FORWARD -p udp --dport 6 -m comment --comment not-after-goto -j ACCEPT
-A FORWARD -p udp --dport 7 -j RETURN
-A FORWARD -p udp --dport 7 -m comment --comment not-after-return -j ACCEPT
-A FORWARD -p udp --dport 8 -m comment --comment marks -j MARK --set-mark 8
-A FORWARD -p udp --dport 8 -m comment --comment after-mark -j REJECT
-A FORWARD -p tcp -m comment --comment no-tcp -j DROP
-A FORWARD -p 132 -m comment --comment before-hotdrop -j MARK --set-mark 1
-A FORWARD -p 132 -m multiport --dports 9 -m comment --comment hotdrop -j ACCEPT
-A FORWARD -p 132 -m comment --comment after-hotdrop -j ACCEPT
-A outer -p udp --dport 2 -m comment --comment in-outer -j DROP
-A outer -p udp --dport 3:4 -j inner
-A outer -p udp --dport 4 -m comment --comment back-in-outer -j ACCEPT
-A inner -p udp --dport 3 -j deep
-A inner -p udp --dport 4 -j RETURN
-A deep -m comment --comment in-deep -j QUEUE
-A went -p udp --dport 7 -j ACCEPT
COMMIT
E
blob filter

# udp PORT: prints verdict and rule of a datagram from the client to the server.
udp() {
	trace_on "table == 'filter' && hook == 2 && protocol == 17"
	datagrams $server "$1"
	events 1
	decided_by verdict
}

check "ipt_verdict: rule in a base chain" "$(udp 1)" "ACCEPT direct"
check "ipt_verdict: rule in a user chain" "$(udp 2)" "DROP in-outer"
check "ipt_verdict: rule two jumps deep" "$(udp 3)" "QUEUE in-deep"
check "ipt_verdict: rule after RETURN from a deeper chain" "$(udp 4)" "ACCEPT back-in-outer"
check "ipt_verdict: rule after the end of a user chain" "$(udp 5)" "ACCEPT after-return"
check "ipt_verdict: policy, after goto" "$(udp 6)" "DROP FORWARD policy"
check "ipt_verdict: policy, after RETURN in a base chain" "$(udp 7)" "DROP FORWARD policy"
check "ipt_verdict: rule after a target that continues" "$(udp 8)" "DROP after-mark"
check "ipt_verdict: policy, if no rule matches" "$(udp 9)" "DROP FORWARD policy"

# A match on ports causes a hot drop if the packet is too short to have them.
trace_on "table == 'filter' && hook == 2"
in_net client "$here/send.py" --protocol 132 $server 0 2
events 1
check "ipt_verdict: hot drop: the rule whose match caused it" "$(decided_by verdict)" "DROP hotdrop"

# Here that rule is the first one, and the last one before the policy.
in_net router iptables-legacy-restore <<'E'
*filter
:FORWARD ACCEPT
-A FORWARD -p 132 -m multiport --dports 9 -m comment --comment only-hotdrop
COMMIT
E
blob filter
trace_on "table == 'filter' && hook == 2"
in_net client "$here/send.py" --protocol 132 $server 0 2
events 1
check "ipt_verdict: hot drop: the event reports the only rule, not the policy" \
	"$(decided_by verdict) policy=$(trace | field policy)" "DROP only-hotdrop policy=0"
check "ipt_verdict: hot drop: the counter of the rule stays 0" \
	"$(in_net router iptables-legacy-save -c | grep -c '^\[0:0\] -A FORWARD')" 1

in_net router iptables-legacy-restore <<'E'
*filter
:INPUT ACCEPT
:big -
-A INPUT -j big
COMMIT
E
{
	echo '*filter'
	for i in {1..300}; do
		echo "-A big -p udp --dport $((1000 + i)) -m comment --comment r$i -j DROP"
	done
	echo COMMIT
} | in_net router iptables-legacy-restore --noflush
blob filter
trace_on "table == 'filter' && hook == 1 && protocol == 17"
datagrams $router 1001 1150 1300
events 3
check "ipt_verdict: rule in a chain of 300" "$(decided_by verdict)" $'DROP r1\nDROP r150\nDROP r300'

done_testing
