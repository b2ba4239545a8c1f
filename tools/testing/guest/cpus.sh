#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# A machine with 256 possible CPUs on two NUMA nodes. Up to three CPUs are online. It takes minutes
# to boot under software emulation.
#
# by request: make soak
# boot VCPUS=256
# boot MEMORY=4G
# boot ACCEL=tcg
# boot KERNEL_OPTS=maxcpus=1
# boot QEMU_OPTS=-cpu qemu64,x2apic=on -smp sockets=2,cores=128 -object memory-backend-ram,id=m0,size=2G -object memory-backend-ram,id=m1,size=2G -numa node,nodeid=0,memdev=m0,cpus=0-127 -numa node,nodeid=1,memdev=m1,cpus=128-255
# needs CONFIG_RUST

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

cpus=/sys/devices/system/cpu
nodes=/sys/devices/system/node
check "cpus: 256 CPUs are possible" "$(cat $cpus/possible)" 0-255
check "cpus: 2 NUMA nodes are online" "$(cat $nodes/online)" 0-1

modprobe iptverdict
make_hosts
ipt router -P FORWARD ACCEPT
# ping_on CPU: sends two pings from this CPU.
ping_on() {
	in_net client taskset -c "$1" ping -qc 2 -i 0.01 $server >/dev/null
}
# totals: prints packets, bytes, and the CPUs that have counted.
totals() {
	echo "$(counted "ipv4 filter FORWARD ACCEPT"), $(
		awk '$4 == "FORWARD" { print $2 }' $debugfs/percpu | xargs)"
}
ping_on 0
check "cpus: the CPU that is online counts" "$(totals)" "4 336, 0"

# Two CPUs of the other node that have never been online.
for cpu in 200 130; do
	echo 1 >$cpus/cpu$cpu/online
	ping_on $cpu
done
check "cpus: CPU 200 is on the other node" "$(cat $nodes/node1/cpu200/online)" 1
check "cpus: CPUs that come online after the module is loaded count" \
	"$(totals)" "12 1008, 0 130 200"
for cpu in 200 130; do
	echo 0 >$cpus/cpu$cpu/online
done
check "cpus: the counts of CPUs that go offline stay" "$(totals)" "12 1008, 0 130 200"
echo 1 >$debugfs/reset
check "cpus: a reset includes the offline CPUs" "$(counted)" ""
ping_on 0
check "cpus: counting continues after a reset" "$(totals)" "4 336, 0"
rmmod iptverdict

done_testing
