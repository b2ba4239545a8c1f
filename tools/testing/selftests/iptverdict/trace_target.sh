#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The last rule that the target TRACE logs in a table is the deciding rule of ipt_verdict.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

make_hosts
modprobe nf_log_syslog
# Log packets of all network namespaces.
sysctl -qw net.netfilter.nf_log_all_netns=1
# One rule for each port. TRACE has logged nothing yet when its own rule matches.
in_net router iptables-legacy-restore <<'E'
*raw
:PREROUTING ACCEPT
:OUTPUT ACCEPT
-A PREROUTING -p udp -j TRACE
-A OUTPUT -p udp -j TRACE
-A OUTPUT -p udp --dport 9 -j MARK --set-mark 1
-A OUTPUT -p udp --dport 9 -j DROP
COMMIT
*filter
:INPUT ACCEPT
:FORWARD DROP
:user -
-A INPUT -j DROP
-A FORWARD -p udp --dport 1 -j ACCEPT
-A FORWARD -p udp --dport 2:3 -j user
-A FORWARD -p udp --dport 3 -m string --algo bm --string 123456789 -j REJECT
-A FORWARD -p udp --dport 4 -g user
-A user -p udp --dport 2 -j DROP
COMMIT
E
blob raw
blob filter
trace_on "net_cookie == $(netns_cookie router) && protocol == 17"

# traced TABLE: prints the last rule of the table that TRACE has logged: table, chain, number.
# TRACE counts the policy as a rule of its chain.
traced() {
	dmesg | sed -n "s/.*TRACE: \($1\):\([^:]*\):policy:.*/\1 \2 policy/p
		s/.*TRACE: \($1\):\([^:]*\):[a-z]*:\([0-9]*\) .*/\1 \2 \3/p" | tail -n 1
}
# named TABLE HOST ADDRESS PORT: prints what TRACE and the event name for a datagram.
named() {
	dmesg --clear
	echo >"$instance/trace"
	# shellcheck disable=SC2016 # the inner bash expands them
	in_net "$2" bash -c 'echo 123456789 >"/dev/udp/$1/$2"' bash "$3" "$4" 2>/dev/null || :
	wait_until grep -q " $event: .*table=$1 " "$instance/trace" || :
	echo "TRACE $(traced "$1"), event $(decided_by table | grep "^$1 ")"
}
# both RULE: prints what named prints if both name this rule.
both() {
	echo "TRACE $1, event $1"
}

check "TRACE and ipt_verdict: a rule that drops in raw OUTPUT" \
	"$(named raw router $server 9)" "$(both "raw OUTPUT 3")"
check "TRACE and ipt_verdict: the policy, after the target TRACE" \
	"$(named raw client $server 1)" "$(both "raw PREROUTING policy")"
check "TRACE and ipt_verdict: a rule in a base chain" \
	"$(named filter client $server 1)" "$(both "filter FORWARD 1")"
check "TRACE and ipt_verdict: a rule in a user chain" \
	"$(named filter client $server 2)" "$(both "filter user 1")"
check "TRACE and ipt_verdict: a rule after the end of a user chain" \
	"$(named filter client $server 3)" "$(both "filter FORWARD 3")"
check "TRACE and ipt_verdict: the policy, after goto" \
	"$(named filter client $server 4)" "$(both "filter FORWARD policy")"

# TRACE takes an unconditional rule of a base chain for the policy.
check "TRACE and ipt_verdict: only the event distinguishes an unconditional rule from the policy" \
	"$(named filter client $router 1) policy=$(trace | grep 'table=filter ' | field policy)" \
	"TRACE filter INPUT policy, event filter INPUT 1 policy=0"

ipt router -I FORWARD -p udp --dport 5 -j ACCEPT
ipt router -I user -p udp --dport 5 -j ACCEPT
blob filter
check "TRACE and ipt_verdict: a rule in a base chain, after an insertion above it" \
	"$(named filter client $server 1)" "$(both "filter FORWARD 2")"
check "TRACE and ipt_verdict: a rule in a user chain, after an insertion above it" \
	"$(named filter client $server 2)" "$(both "filter user 2")"
sysctl -qw net.netfilter.nf_log_all_netns=0

done_testing
