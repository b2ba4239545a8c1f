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
	"$(trace | sed 's/table=\([^ ]*\) hook=\([^ ]*\) verdict=\([^ ]*\) .*protocol=\([^ ]*\) .*/\1 \2 \3 \4/' | grep -v 'INPUT ACCEPT 1$')" \
	"filter OUTPUT ACCEPT 1
filter INPUT DROP 17"

trace_on "table == 'filter'"
host client bash -c "exec 3<>/dev/tcp/$router/81" 2>/dev/null || :
check "REJECT of a SYN: the reset on its way, then the verdict" \
	"$(trace | sed 's/table=\([^ ]*\) hook=\([^ ]*\) verdict=\([^ ]*\) .*protocol=\([^ ]*\) .*/\1 \2 \3 \4/')" \
	"filter OUTPUT ACCEPT 6
filter INPUT DROP 6"

# TEE sends a copy, and the walk of the original goes on.
ipt router -t mangle -A FORWARD -p icmp -j TEE --gateway $server
ipt router -t mangle -A FORWARD -p icmp -m comment --comment after-tee -j ACCEPT
host router "$here/ruleset.py" blob mangle >"$work/blob"
trace_on "table == 'mangle' && protocol == 1 && saddr == 0x$(printf %02x $(tr . ' ' <<<$client | tac -s' '))"
host client ping -qc 1 -W 1 $server >/dev/null 2>&1 || :
check "TEE: the copy has its own events" \
	"$(trace | grep 'in=r0' | grep -c FORWARD) $(trace | grep -c POSTROUTING)" "1 2"
check "and leaves the original to its rule" \
	"$(awk -v o="$(trace | grep FORWARD | field rule)" '$1 == o { print $5 }' "$work/blob")" after-tee

# Counted by a probe that nests: nothing is lost.
modprobe iptverdict
echo 1 >$debugfs/reset
for _ in $(seq 20); do
	host client bash -c "echo x >/dev/udp/$router/81"
done
check "the module counts both walks" \
	"$(awk '$1 == "filter" && $3 == "DROP" { print $2, $4 }' $debugfs/stats)" "INPUT 20"
check "and the errors that were sent" \
	"$(awk '$1 == "filter" && $2 == "OUTPUT" { n += $4 } END { print n >= 20 }' $debugfs/stats)" 1
rmmod iptverdict

done_testing
