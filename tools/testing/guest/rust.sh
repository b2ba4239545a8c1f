#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The second sample of the Rust abstractions, rust_drops.
#
# needs CONFIG_RUST

# shellcheck source=tools/env.sh
. "$(dirname "$(realpath "$0")")/../../env.sh"
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

make_hosts
ipt router -A FORWARD -p udp -j DROP

drops=/sys/kernel/debug/rust_drops/drops
modprobe rust_drops
# dropped REASON: how many packets.
dropped() {
	awk -v r="$1" '$1 == r { n = $2 } END { print n + 0 }' $drops
}
before=$(dropped NETFILTER_DROP)
host client bash -c "for i in {1..25}; do echo x >/dev/udp/$server/9; done"
check "packets that a rule drops" $(($(dropped NETFILTER_DROP) - before)) 25
exec 3<$drops
check_fails "no unload while its file is open" "in use" rmmod rust_drops
exec 3<&-
check_that "unload" rmmod rust_drops

done_testing
