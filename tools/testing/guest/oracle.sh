#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# On random rulesets and traffic, the module, where the kernel has it, raw_tp, fexit, the counters
# of iptables and an evaluation in user space have to agree. ORACLE_RULESETS: the number of
# rulesets; ORACLE_SEED: the seed of the first one.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

rulesets=${ORACLE_RULESETS:-10}
seed=${ORACLE_SEED:-1}

make_hosts
# Resolve the neighbours, so that no packet waits for them.
in_net client ping -qc 1 $server >/dev/null
mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf
modprobe -q iptverdict || modprobe ip_tables
modprobe xt_multiport
pins=/sys/fs/bpf/oracle
for name in raw_tp fexit; do
	bpftool prog loadall "$BENCH/$name+count.bpf.o" "$pins-$name" \
		pinmaps "$pins-$name-maps" autoattach
done

echo "# seed $seed"
in_net router python3 "$REPO/tools/testing/guest/oracle/oracle.py" "$seed" "$rulesets" \
	"$pins-raw_tp-maps" "$pins-fexit-maps" 2>&1 | tee "$work/oracle"
read -r _ _ _ _ _ verdicts evaluated differences < <(tail -n 1 "$work/oracle")
check "oracle: $rulesets random rulesets: no difference" "$differences" 0
check_that "oracle: $verdicts verdicts, $evaluated evaluated in user space" \
	test $((verdicts)) -gt $((100 * rulesets)) -a $((10 * evaluated)) -gt $((8 * verdicts))

rm -r "$pins"-*
[[ ! -d $debugfs ]] || rmmod iptverdict

done_testing
