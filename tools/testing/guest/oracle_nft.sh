#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# nftables, on random rulesets and traffic: rulesets of iptables that iptables-nft loads, which the
# events, the module, the counters of iptables and an evaluation in user space have to agree on; and
# rulesets of nftables, which the events, the module, the counters of rules and nft monitor trace
# have to agree on. ORACLE_RULESETS: the number of each; ORACLE_SEED: the seed of the first one.
#
# needs CONFIG_RUST
# stock, unless SHORT=1

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

rulesets=${ORACLE_RULESETS:-10}
seed=${ORACLE_SEED:-1}
oracle=$REPO/tools/testing/guest/oracle

make_hosts
# Resolve the neighbours, so that no packet waits for them.
in_net client ping -qc 1 $server >/dev/null
in_net client ping -6 -qc 1 $server6 >/dev/null
modprobe iptverdict

echo "# seed $seed"
in_net router python3 "$oracle/oracle.py" nft "$seed" "$rulesets" 2>&1 | tee "$work/oracle"
read -r _ _ _ _ _ verdicts evaluated differences < <(tail -n 1 "$work/oracle")
check "oracle_nft: iptables-nft: $rulesets random rulesets: no difference" "$differences" 0
check_that "oracle_nft: iptables-nft: $verdicts verdicts, $evaluated evaluated in user space" \
	test $((verdicts)) -gt $((100 * rulesets)) -a $((10 * evaluated)) -gt $((8 * verdicts))

in_net router python3 "$oracle/oracle_nft.py" "$seed" "$rulesets" 2>&1 | tee "$work/oracle"
read -r _ _ _ _ _ verdicts traced differences < <(tail -n 1 "$work/oracle")
check "oracle_nft: nftables: $rulesets random rulesets: no difference" "$differences" 0
check_that "oracle_nft: nftables: $verdicts verdicts, all of them in nft monitor trace" \
	test $((verdicts)) -gt $((50 * rulesets)) -a $((traced)) -eq $((verdicts))

rmmod iptverdict

done_testing
