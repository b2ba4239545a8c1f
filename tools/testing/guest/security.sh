#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What those who may not, do not get; and what traffic cannot do.
#
# needs CONFIG_RUST

# shellcheck source=tools/env.sh
. "$(dirname "$(realpath "$0")")/../../env.sh"
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

make_hosts
modprobe iptverdict
ipt router -A FORWARD -p udp -j DROP
host client ping -qc 2 -i 0.01 $server >/dev/null
before=$(cat $debugfs/stats)

# Users. What they cannot do with the module's files, module.sh has.
as_user() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}
check_fails "a user gets no events" "Permission denied" as_user cat $tracefs/events/iptables/ipt_verdict/enable
check_fails "a user cannot load programs" "permitted|denied" \
	as_user bpftool prog load "$here/verdict.bpf.o" /sys/fs/bpf/user

# A container whose root has no capabilities, and does not see the host's mounts.
as_container() {
	unshare --net --mount --pid --fork bash -c 'umount -l /sys/kernel/debug /sys/kernel/tracing
		exec setpriv --bounding-set=-all --inh-caps=-all "$@"' bash "$@"
}
for name in debugfs tracefs; do
	check_fails "a container cannot mount $name" "denied|permitted" as_container mount -t $name none /mnt
done
check_fails "a container finds no stats" "No such file" as_container cat $debugfs/stats

# A user's own container, whose root is that user, where the host's mounts are in sight.
as_own_container() {
	as_user unshare --user --map-root-user --net --mount --pid --fork "$@"
}
check "a user has containers" "$(as_own_container id -u)" 0
for name in debugfs tracefs; do
	check_fails "but cannot mount $name there" "denied|permitted" as_own_container mount -t $name none /mnt
done
for file in stats percpu; do
	check_fails "nor read $file" "Permission denied" as_own_container cat $debugfs/$file
done
check_fails "nor reset" "Permission denied" as_own_container bash -c "echo 1 >$debugfs/reset"
check "nothing was reset" "$(cat $debugfs/stats)" "$before"

# Addresses of the kernel are hashed, or printed as zero, as %p has it.
trace_on "table == 'filter'"
host client ping -qc 1 $server >/dev/null
check "no address of the kernel in the trace" \
	"$(trace | field skbaddr | grep -vE '^(0{8}[0-9a-f]{8}|0x0|0)$' || :)" ""
check_that "but something that tells packets apart" test "$(trace | field skbaddr | sort -u | wc -l)" -ge 1
trace_off

# Traffic, and what users write to reset, leave no line in the kernel's log.
dmesg --clear
host client python3 -c "
import socket
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(3000):
    out.sendto(bytes(i % 1400), ('$server', 1 + i % 60000))
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
for i in range(200):
    raw.sendto(bytes(i % 5), ('$server', 0))"
for bad in 0 2 garbage; do
	bash -c "echo $bad >$debugfs/reset" 2>/dev/null || :
done
check_that "thousands of verdicts" \
	test "$(sed -n 's/^ipv4 filter FORWARD DROP \([0-9]*\) .*/\1/p' $debugfs/stats)" -ge 3000
check "make the log no longer" "$(dmesg)" ""
rmmod iptverdict

done_testing
