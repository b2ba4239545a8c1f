#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# A module that leaks the registrations of its probes, also by freeing the memory that they
# are in: it can be unloaded, and only memory is lost. Not for kmemleak.
#
# needs CONFIG_RUST

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

make_hosts
ipt router -P FORWARD ACCEPT
ipt router -A FORWARD -p udp -j DROP
ping1() {
	in_net client ping -qc 1 -W 1 $server >/dev/null
}
# left [MODULE]: prints what the kernel has logged about probes that were left registered.
left() {
	dmesg | sed -n "s/.*\(tracepoint: ${1:-rust_leak} .*\)/\1/p"
}
# With several probes, a tracepoint calls them indirectly, and kCFI checks their types.
leak=$KDIR/test-modules/rust_leak.ko
modprobe rust_drops
insmod "$leak"
check_that "leaks: packets pass while leaked probes count them" ping1
datagrams $server 9
rmmod rust_drops
dmesg --clear
check_that "leaks: a module with leaked registrations unloads" rmmod rust_leak
check "leaks: an unload removes leaked probes" "$(left)" \
	"tracepoint: rust_leak left 7 probe(s) registered"
check_that "leaks: packets pass after the unload" ping1
datagrams $server {1..10}

dmesg --clear
check_fails "leaks: a module that fails after it leaked does not load" "busy" insmod "$leak" fail=1
check "leaks: a failed load removes leaked probes" "$(left)" \
	"tracepoint: rust_leak left 7 probe(s) registered"
check_that "leaks: packets pass after the failed load" ping1

dmesg --clear
insmod "$KDIR/test-modules/own_probe.ko"
rmmod own_probe
check "leaks: an unload removes a probe on a tracepoint of the same module" \
	"$(left own_probe), $(dmesg | grep -c WARNING || :)" \
	"tracepoint: own_probe left 1 probe(s) registered, 0"

# The leaked probes were the only ones of the tracepoint.
modprobe iptverdict
ping1
check "leaks: the next module to register a probe counts correctly" \
	"$(grep FORWARD $debugfs/stats)" "ipv4 filter FORWARD ACCEPT 2 168"
dmesg --clear
rmmod iptverdict
check "leaks: iptverdict leaves no probe" "$(dmesg | grep -c 'left [0-9]* probe' || :)" 0

done_testing
