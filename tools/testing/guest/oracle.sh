#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# On random rulesets and traffic, the events, the module, raw_tp and fexit, where the kernel has
# them, the counters of iptables and an evaluation in user space have to agree. ORACLE_RULESETS: the
# number of rulesets; ORACLE_SEED: the seed of the first one.
#
# stock, unless SHORT=1

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

rulesets=${ORACLE_RULESETS:-10}
seed=${ORACLE_SEED:-1}

make_hosts
# Resolve the neighbours, so that no packet waits for them.
in_net client ping -qc 1 $server >/dev/null
mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf
modprobe -q iptverdict || modprobe ip_tables
modprobe xt_multiport
pins=/sys/fs/bpf/oracle
maps=()
for name in raw_tp fexit; do
	# Both read types of the module, and so need its BTF.
	[[ -f /sys/kernel/btf/ip_tables ]] || continue
	"$BENCH/attach" "$BENCH/$name+count.bpf.o" "$pins-$name" "$pins-$name-maps"
	maps+=("$pins-$name-maps")
done

echo "# seed $seed"
in_net router python3 "$REPO/tools/testing/guest/oracle/oracle.py" legacy "$seed" "$rulesets" \
	${maps[@]+"${maps[@]}"} 2>&1 | tee "$work/oracle"
read -r _ _ _ _ _ verdicts evaluated differences < <(tail -n 1 "$work/oracle")
check "oracle: $rulesets random rulesets: no difference" "$differences" 0
check_that "oracle: $verdicts verdicts, $evaluated evaluated in user space" \
	test $((verdicts)) -gt $((100 * rulesets)) -a $((10 * evaluated)) -gt $((8 * verdicts))

rm -rf "$pins"-*
[[ ! -d $debugfs ]] || rmmod iptverdict

done_testing
