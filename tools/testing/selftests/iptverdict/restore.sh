#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# A firewall manager that restores its ruleset over and over resets the counters of iptables
# each time, but not those of the module.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

if ! have_module "restore: all tests"; then
	done_testing
	exit
fi
make_hosts
cat >"$work/rules" <<'E'
*filter
:INPUT ACCEPT
:FORWARD ACCEPT
:OUTPUT ACCEPT
-A FORWARD -p udp --dport 1 -j DROP
COMMIT
E
restore() {
	in_net router iptables-legacy-restore "$work/rules"
}
restore
# No ICMP errors.
ipt server -A INPUT -p udp -j DROP
modprobe iptverdict

# in_stats: prints the packets that the module has counted for the rule.
in_stats() {
	counted "ipv4 filter FORWARD DROP" | cut -d ' ' -f 1
}
# in_iptables: prints the packets that the rule has counted.
in_iptables() {
	in_net router iptables-legacy-save -c -t filter | sed -n 's/^\[\([0-9]*\):.*-j DROP$/\1/p'
}
# 3000 datagrams of 38 bytes; the rule drops 2000 of them.
nsenter --net=/run/netns/client "$here/send.py" --count 3000 --rate 1500 $server 1,1,2 10 &
pid=$!
wait_until grep -q ' FORWARD DROP ' $debugfs/stats || :
n=0
while kill -0 $pid 2>/dev/null; do
	in_stats >>"$work/samples"
	restore
	n=$((n + 1))
done
wait $pid
settle
in_stats >>"$work/samples"

check_that "restore: $n replacements under traffic" test $n -ge 5
check_that "restore: stats: the counter never decreases" sort --check --numeric-sort "$work/samples"
check "restore: stats: no packet is missing" "$(counted)" \
	"ipv4 filter INPUT DROP 1000 38000
ipv4 filter FORWARD DROP 2000 76000
ipv4 filter FORWARD ACCEPT 1000 38000"
check_that "restore: iptables: replacements lose counts of the rule" test "$(in_iptables)" -lt 2000
restore
check "restore: iptables: the counter of the rule is reset" "$(in_iptables)" 0
check "restore: stats: the counter stays" "$(in_stats)" 2000
rmmod iptverdict

done_testing
