#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Random rulesets and traffic: the module, raw_tp, fexit, iptables' own counters and a
# walk in user space agree. ORACLE_RULESETS: how many; ORACLE_SEED: of the first of them.
#
# needs CONFIG_RUST

# shellcheck source=tools/env.sh
. "$(dirname "$(realpath "$0")")/../../env.sh"
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

rulesets=${ORACLE_RULESETS:-10}
seed=${ORACLE_SEED:-1}

make_hosts
# Neighbours are known: no packet waits for an answer.
host client ping -qc 1 $server >/dev/null
mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf
modprobe iptverdict
modprobe xt_multiport
pins=/sys/fs/bpf/oracle
for name in raw_tp fexit; do
	bpftool prog loadall "$BENCH/$name+count.bpf.o" "$pins-$name" \
		pinmaps "$pins-$name-maps" autoattach
done

echo "# seed $seed"
# Not by "ip netns exec", which hides debugfs.
nsenter --net=/run/netns/router python3 "$REPO/tools/testing/oracle/oracle.py" "$seed" "$rulesets" \
	"$pins-raw_tp-maps" "$pins-fexit-maps" 2>&1 | tee "$work/oracle"
read -r _ _ _ _ _ verdicts walked differences < <(tail -n 1 "$work/oracle")
check "$rulesets random rulesets: no difference" "$differences" 0
check_that "$verdicts verdicts, of which $walked were walked in user space" \
	test $((verdicts)) -gt $((100 * rulesets)) -a $((10 * walked)) -gt $((8 * verdicts))

rm -r "$pins"-*
rmmod iptverdict

done_testing
