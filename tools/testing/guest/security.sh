#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Unprivileged users cannot read events or counters; traffic cannot flood the log.
#
# needs CONFIG_RUST
# stock

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

make_hosts
modprobe iptverdict
ipt router -A FORWARD -p udp -j DROP
in_net client ping -qc 2 -i 0.01 $server >/dev/null
before=$(cat $debugfs/stats)

# A user. module.sh tests the module's files.
as_user() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}
check_fails "security: a user cannot read the files of events" "Permission denied" \
	as_user cat $tracefs/events/iptables/ipt_verdict/enable
check_fails "security: a user cannot load BPF programs" "permitted|denied" \
	as_user bpftool prog load "$here/verdict.bpf.o" /sys/fs/bpf/user

# A container without the host's mounts, whose root has no capabilities.
as_container() {
	unshare --net --mount --pid --fork bash -c 'umount -l /sys/kernel/debug /sys/kernel/tracing
		exec setpriv --bounding-set=-all --inh-caps=-all "$@"' bash "$@"
}
for name in debugfs tracefs; do
	check_fails "security: a container cannot mount $name" "denied|permitted" \
		as_container mount -t $name none /mnt
done
check_fails "security: a container has no stats file" "No such file" as_container cat $debugfs/stats

# A user's own container, with the host's mounts. Its root is that user.
as_own_container() {
	as_user unshare --user --map-root-user --net --mount --pid --fork "$@"
}
check "security: a user can create a container" "$(as_own_container id -u)" 0
for name in debugfs tracefs; do
	check_fails "security: root of a user's container cannot mount $name" "denied|permitted" \
		as_own_container mount -t $name none /mnt
done
for file in stats percpu; do
	check_fails "security: root of a user's container cannot read $file" "Permission denied" \
		as_own_container cat $debugfs/$file
done
check_fails "security: root of a user's container cannot write reset" "Permission denied" \
	as_own_container bash -c "echo 1 >$debugfs/reset"
check "security: rejected accesses change no counter" "$(cat $debugfs/stats)" "$before"

# The trace prints addresses with %p: as a hash, or as zero.
trace_on "table == 'filter'"
in_net client ping -qc 1 $server >/dev/null
check "security: the trace has no kernel addresses" \
	"$(trace | field skbaddr | grep -vE '^(0{8}[0-9a-f]{8}|0x0|0)$' || :)" ""
check "security: every event has a skbaddr other than zero" \
	"$(trace | field skbaddr | sed -E 's/^(0x)?0+$/zero/; t; s/.*/address/' | sort -u)" address
trace_off

# Datagrams, SCTP packets that are too short for their header, and bad writes to reset.
dmesg --clear
in_net client "$here/send.py" --count 3000 $server 1-3000 0-1399
in_net client "$here/send.py" --count 200 --protocol 132 $server 0 0-4
for bad in 0 2 garbage; do
	bash -c "echo $bad >$debugfs/reset" 2>/dev/null || :
done
settle
check_that "security: the module counts thousands of datagrams" \
	test "$(counted "ipv4 filter FORWARD DROP" | cut -d' ' -f1)" -ge 3000
check "security: traffic and bad writes log nothing" "$(dmesg)" ""
rmmod iptverdict

done_testing
