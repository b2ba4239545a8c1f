#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What the Rust abstractions promise to modules: the second sample, rust_drops,
# and a module that leaks its registrations.
#
# needs CONFIG_RUST

# shellcheck source=tools/env.sh
. "$(dirname "$(realpath "$0")")/../../env.sh"
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

make_hosts
ipt router -P FORWARD ACCEPT
ipt router -A FORWARD -p udp -j DROP
ping1() {
	host client ping -qc 1 -W 1 $server >/dev/null
}
# datagrams N: sent through the router, which drops them.
datagrams() {
	host client python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range($1):
    s.sendto(b'x', ('$server', 9))"
}

# rust_drops
drops=/sys/kernel/debug/rust_drops/drops
modprobe rust_drops
# dropped REASON: how many packets.
dropped() {
	awk -v r="$1" '$1 == r { n = $2 } END { print n + 0 }' $drops
}
before=$(dropped NETFILTER_DROP)
datagrams 25
check "rust_drops: packets that a rule drops" $(($(dropped NETFILTER_DROP) - before)) 25
exec 3<$drops
check_fails "rust_drops: no unload while its file is open" "in use" rmmod rust_drops
exec 3<&-
check_that "rust_drops: unload" rmmod rust_drops

# left: what the kernel has said of probes that were left behind.
left() {
	dmesg | sed -n 's/.*\(tracepoint: rust_leak .*\)/\1/p'
}
# With several probes on a tracepoint, it calls them through pointers, whose
# types kCFI checks, where the kernel has it.
leak=$KDIR/test-modules/rust_leak.ko
modprobe rust_drops
insmod "$leak"
ping1
datagrams 1
rmmod rust_drops
dmesg --clear
check_that "a module that has leaked its registrations can be unloaded" rmmod rust_leak
check "its probes are removed" "$(left)" "tracepoint: rust_leak left 3 probe(s) registered"
check_that "packets pass after that" ping1
datagrams 10

dmesg --clear
check_fails "a module that leaks, and then fails" "busy" insmod "$leak" fail=1
check "leaves no probes, either" "$(left)" "tracepoint: rust_leak left 3 probe(s) registered"
check_that "packets pass after that, too" ping1

# What it had left behind was all that there was on the tracepoint.
modprobe iptverdict
zero_counters
ping1
check "the next one to register counts as ever" \
	"$(grep FORWARD $debugfs/stats)" "ipv4 filter FORWARD ACCEPT 2 168"
dmesg --clear
rmmod iptverdict
check "and leaves nothing behind" "$(dmesg | grep -c 'left [0-9]* probe' || :)" 0

done_testing
