#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The deciding rule: its offset names the entry of the blob that iptables gets
# from the kernel, in every way that a walk can end.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

make_hosts
# Comments name the rules: they stand in the blob, and nowhere else.
host router iptables-legacy-restore <<'E'
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
host router "$here/ruleset.py" blob filter >"$work/blob"

# udp PORT: one datagram from the client to the server.
udp() {
	trace_on "table == 'filter' && hook == 2 && protocol == 17"
	host client bash -c "echo x >/dev/udp/$server/$1"
	decided_by
}

check "a rule of the built-in chain" "$(udp 1)" "ACCEPT direct"
check "a rule of a user chain" "$(udp 2)" "DROP in-outer"
check "a rule two jumps deep" "$(udp 3)" "QUEUE in-deep"
check "a rule after a return from a deeper chain" "$(udp 4)" "ACCEPT back-in-outer"
check "a rule after the end of a user chain" "$(udp 5)" "ACCEPT after-return"
check "the policy, after a goto" "$(udp 6)" "DROP FORWARD policy"
check "the policy, after RETURN in the built-in chain" "$(udp 7)" "DROP FORWARD policy"
check "a rule after one that goes on" "$(udp 8)" "DROP after-mark"
check "the policy, after no match" "$(udp 9)" "DROP FORWARD policy"

# A header too short for the ports that a rule asks for is a hot drop. The
# packet is a raw one with two bytes of payload.
raw_packet() {
	host client python3 -c "
import socket
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, $1)
raw.sendto(b'xy', ('$server', 0))"
}
trace_on "table == 'filter' && hook == 2"
raw_packet 132
check "a match that asks for a hot drop" "$(decided_by)" "DROP hotdrop"

# In the first rule, and in the last one before the policy.
host router iptables-legacy-restore <<'E'
*filter
:FORWARD ACCEPT
-A FORWARD -p 132 -m multiport --dports 9 -m comment --comment only-hotdrop
COMMIT
E
host router "$here/ruleset.py" blob filter >"$work/blob"
trace_on "table == 'filter' && hook == 2"
raw_packet 132
check "a hot drop in the only rule is not the policy's" \
	"$(decided_by) policy=$(trace | field policy)" "DROP only-hotdrop policy=0"
check "and it is not counted by the rule" \
	"$(host router iptables-legacy-save -c | grep -c '^\[0:0\] -A FORWARD')" 1

# The rule that matched is the one that decides: its own counter says so.
host router iptables-legacy-restore <<'E'
*filter
:INPUT ACCEPT
:big -
-A INPUT -j big
COMMIT
E
{
	echo '*filter'
	for i in $(seq 300); do
		echo "-A big -p udp --dport $((1000 + i)) -m comment --comment r$i -j DROP"
	done
	echo COMMIT
} | host router iptables-legacy-restore --noflush
host router "$here/ruleset.py" blob filter >"$work/blob"
trace_on "table == 'filter' && hook == 1 && protocol == 17"
for i in 1 150 300; do
	host client bash -c "echo x >/dev/udp/$router/$((1000 + i))"
done
check "rules in a chain of 300" "$(decided_by)" $'DROP r1\nDROP r150\nDROP r300'

done_testing
