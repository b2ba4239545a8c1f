#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Targets that send a packet of their own walk the tables inside the walk.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

make_hosts
ipt router -A INPUT -p tcp --dport 81 -j REJECT --reject-with tcp-reset
ipt router -A INPUT -p udp --dport 81 -j REJECT
ipt router -A OUTPUT -p icmp -j ACCEPT

# The inner walk ends first.
trace_on "table == 'filter'"
host client bash -c "echo x >/dev/udp/$router/81"
check "REJECT of a datagram: the error on its way, then the verdict" \
	"$(trace | columns table hook verdict protocol | grep -v 'INPUT ACCEPT 1$')" \
	"filter OUTPUT ACCEPT 1
filter INPUT DROP 17"

trace_on "table == 'filter'"
syn $router 81
check "REJECT of a SYN: the reset on its way, then the verdict" \
	"$(trace | columns table hook verdict protocol)" \
	"filter OUTPUT ACCEPT 6
filter INPUT DROP 6"

# TEE sends a copy, and the walk of the original goes on.
ipt router -t mangle -A FORWARD -p icmp -j TEE --gateway $server
ipt router -t mangle -A FORWARD -p icmp -m comment --comment after-tee -j ACCEPT
host router "$here/ruleset.py" blob mangle >"$work/blob"
trace_on "table == 'mangle' && protocol == 1 && saddr == $(as_integer $client)"
host client ping -qc 1 -W 1 $server >/dev/null 2>&1 || :
check "TEE: the copy has its own events" \
	"$(trace | grep 'in=r0' | grep -c FORWARD) $(trace | grep -c POSTROUTING)" "1 2"
check "and leaves the original to its rule" \
	"$(name_of "$(trace | grep FORWARD | field rule)")" after-tee

# Counted by a probe that nests: nothing is lost. Each SYN makes one reset.
if have_module "the module counts the walks that are interrupted"; then
	modprobe iptverdict
	host client python3 -c "
import socket
for _ in range(50):
    socket.socket().connect_ex(('$router', 81))"
	check "the module counts the walks that are interrupted, and those within" \
		"$(sed -n 's/^ipv4 filter \(.*\) [0-9]*$/\1/p' $debugfs/stats)" \
		$'INPUT DROP 50\nOUTPUT ACCEPT 50'
	rmmod iptverdict
fi

done_testing
