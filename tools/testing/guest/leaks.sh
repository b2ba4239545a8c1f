#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# A module that leaks its registrations: it does no harm but to memory, so that it is
# nothing for kmemleak.
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
host client bash -c "echo x >/dev/udp/$server/9"
rmmod rust_drops
dmesg --clear
check_that "a module that has leaked its registrations can be unloaded" rmmod rust_leak
check "its probes are removed" "$(left)" "tracepoint: rust_leak left 3 probe(s) registered"
check_that "packets pass after that" ping1
host client bash -c "for i in {1..10}; do echo x >/dev/udp/$server/9; done"

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
