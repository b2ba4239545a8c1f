#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# rust_drops, the other sample of the Rust abstractions.
#
# needs CONFIG_RUST

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

make_hosts
ipt router -A FORWARD -p udp -j DROP

drops=/sys/kernel/debug/rust_drops/drops
modprobe rust_drops
# dropped REASON: prints the number of packets that were dropped for this reason.
dropped() {
	awk -v r="$1" '$1 == r { n = $2 } END { print n + 0 }' $drops
}
before=$(dropped NETFILTER_DROP)
datagrams $server {1..25}
settle
check "rust_drops: counts the packets that a rule drops" $(($(dropped NETFILTER_DROP) - before)) 25
exec 3<$drops
check_fails "rust_drops: an open file prevents unload" "in use" rmmod rust_drops
exec 3<&-
check_that "rust_drops: unloads once the file is closed" rmmod rust_drops

done_testing
