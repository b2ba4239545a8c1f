#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# 256 CPUs are possible, and a few of them are there, on two NUMA nodes. It takes them
# minutes to boot under software emulation.
#
# for make soak
# boot VCPUS=256
# boot MEMORY=4G
# boot ACCEL=tcg
# boot KERNEL_OPTS=maxcpus=1
# boot QEMU_OPTS=-cpu qemu64,x2apic=on -smp sockets=2,cores=128 -object memory-backend-ram,id=m0,size=2G -object memory-backend-ram,id=m1,size=2G -numa node,nodeid=0,memdev=m0,cpus=0-127 -numa node,nodeid=1,memdev=m1,cpus=128-255
# needs CONFIG_RUST

# shellcheck source=tools/env.sh
. "$(dirname "$(realpath "$0")")/../../env.sh"
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

cpus=/sys/devices/system/cpu
nodes=/sys/devices/system/node
check "256 CPUs are possible" "$(cat $cpus/possible)" 0-255
check "on two nodes" "$(cat $nodes/online)" 0-1

modprobe iptverdict
make_hosts
ipt router -P FORWARD ACCEPT
# ping from CPU N.
ping_on() {
	host client taskset -c "$1" ping -qc 2 -i 0.01 $server >/dev/null
}
counted() {
	sed -n 's/^ipv4 filter FORWARD ACCEPT //p' $debugfs/stats
}
# cpus: those that have counted.
counting() {
	awk '$4 == "FORWARD" { print $2 }' $debugfs/percpu | xargs
}
ping_on 0
check "one CPU counts" "$(counted), $(counting)" "4 336, 0"

# Two of the other node were never there when the module was loaded.
for cpu in 200 130; do
	echo 1 >$cpus/cpu$cpu/online
	ping_on $cpu
done
check "a CPU of the other node" "$(cat $nodes/node1/cpu200/online)" 1
check "those that come later count, too" "$(counted), $(counting)" "12 1008, 0 130 200"
for cpu in 200 130; do
	echo 0 >$cpus/cpu$cpu/online
done
check "and keep their counts when they go" "$(counted), $(counting)" "12 1008, 0 130 200"
echo 1 >$debugfs/reset
check "reset" "$(sed 1d $debugfs/stats)" ""
ping_on 0
check "counts go on" "$(counted), $(counting)" "4 336, 0"
rmmod iptverdict

done_testing
