#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Targets that send packets: the traversal of the new packet is nested in that of the first.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

make_hosts
ipt router -A INPUT -p tcp --dport 81 -j REJECT --reject-with tcp-reset
ipt router -A INPUT -p udp --dport 81 -j REJECT
ipt router -A OUTPUT -p icmp -j ACCEPT

# The inner traversal ends first.
trace_on "table == 'filter'"
datagrams $router 81
events 2
settle
check "nested: REJECT of a datagram: the ICMP error, then the verdict" \
	"$(trace | columns table hook verdict protocol | grep -v 'INPUT ACCEPT 1$')" \
	"filter OUTPUT ACCEPT 1
filter INPUT DROP 17"

trace_on "table == 'filter'"
syn $router 81
events 2
settle
check "nested: REJECT of a SYN: the reset, then the verdict" \
	"$(trace | columns table hook verdict protocol)" \
	"filter OUTPUT ACCEPT 6
filter INPUT DROP 6"

# TEE sends a copy, and the traversal of the original continues.
ipt router -t mangle -A FORWARD -p icmp -j TEE --gateway $server
ipt router -t mangle -A FORWARD -p icmp -m comment --comment after-tee -j ACCEPT
blob mangle
trace_on "table == 'mangle' && protocol == 1 && saddr == $(as_integer $client)"
in_net client ping -qc 1 -W 1 $server >/dev/null 2>&1 || :
events 5
settle
check "nested: TEE: the copy has its own events" \
	"$(trace | grep 'in=r0' | grep -c FORWARD) $(trace | grep -c POSTROUTING)" "1 2"
check "nested: TEE: the original continues with the next rule" \
	"$(decided_by verdict hook | grep FORWARD)" "ACCEPT FORWARD after-tee"

# Each SYN causes one reset.
if have_module "module: nested traversals"; then
	modprobe iptverdict
	in_net client bash -c "for _ in {1..50}; do : <>/dev/tcp/$router/81; done" \
		2>/dev/null || :
	settle
	check "module: counts outer and inner traversals" \
		"$(counted "ipv4 filter" | cut -d' ' -f1-3)" \
		$'INPUT DROP 50\nOUTPUT ACCEPT 50'
	rmmod iptverdict
fi

done_testing
