#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Loads and unloads, attaches and detaches, adds and removes under traffic: the module, BPF
# programs, CPUs, network namespaces, rulesets, readers. CHURN: multiplies the numbers of
# repetitions. LOADS: the number of loads of the module; by default 10 times CHURN.
#
# needs CONFIG_RUST
# stock, unless SHORT=1

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

churn=${CHURN:-1}
make_hosts
in_net client ping -qc 1 $server >/dev/null
mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf
modprobe ip_tables

# agree NAME: compares the counters of the module and of iptables after a flood.
agree() {
	both_counters "$work/got" "$work/saved"
	"$here/ruleset.py" verdicts <"$work/saved" | grep '^ipv4' >"$work/want" || :
	check "churn: $1: module and iptables agree" \
		"$(grep '^ipv4' "$work/got")" "$(cat "$work/want")"
	check_that "churn: ${1#* }: under traffic" \
		test "$(awk '{ n += $5 } END { print n + 0 }' "$work/want")" -gt 100
}

in_net router iptables-legacy-restore <<'E'
*filter
:FORWARD ACCEPT
-A FORWARD -p udp --dport 1:3 -j DROP
-A FORWARD -p udp --dport 4 -j REJECT
COMMIT
E
flood_on 2000 1-10 0-499

# The module.
n=${LOADS:-$((10 * churn))}
for ((i = 0; i < n; i++)); do
	modprobe iptverdict
	rmmod iptverdict
done
modprobe iptverdict
check_that "churn: $n module loads under traffic: counters work afterwards" \
	wait_until grep -q ' FORWARD DROP ' $debugfs/stats
flood_off

# BPF programs on the same tracepoint.
zero_counters
flood_on 2000 1-10 0-499
n=$((5 * churn))
for ((i = 0; i < n; i++)); do
	bpftool prog loadall "$BENCH/raw_tp+count.bpf.o" /sys/fs/bpf/churn autoattach
	rm -r /sys/fs/bpf/churn
done
flood_off
agree "$n BPF programs attached and detached"

# CPUs.
zero_counters
flood_on 2000 1-10 0-499
n=$((5 * churn))
for ((i = 0; i < n; i++)); do
	echo 0 >/sys/devices/system/cpu/cpu1/online
	sleep 0.1
	echo 1 >/sys/devices/system/cpu/cpu1/online
	sleep 0.1
done
flood_off
agree "$n CPU offline/online cycles"

# Network namespaces: the INPUT chain of each sees two requests and two replies.
zero_counters
flood_on 2000 1-10 0-499
n=$((10 * churn))
for ((i = 0; i < n; i++)); do
	ip netns add churn
	ip -n churn link set lo up
	ipt churn -A INPUT -p icmp -j ACCEPT
	in_net churn ping -qc 2 -i 0.01 127.0.0.1 >/dev/null
	ip netns del churn
done
flood_off
check "churn: $n network namespaces added and deleted: all of their packets are counted" \
	"$(counted "ipv4 filter INPUT")" "ACCEPT $((4 * n)) $((4 * n * 84))"

# Rulesets, each with a queue number of its own: the offset in an event has to belong to the
# ruleset that queued the packet, or be unknown.
for i in 0 1 2 3 4 5 6 7; do
	{
		echo '*filter'
		for ((j = 0; j < i * 3; j++)); do
			echo "-A FORWARD -s 192.0.2.$j -j ACCEPT"
		done
		echo "-A FORWARD -p udp -j NFQUEUE --queue-num $i --queue-bypass"
		echo COMMIT
	} >"$work/rules$i"
	in_net router iptables-legacy-restore "$work/rules$i"
	in_net router "$here/ruleset.py" blob filter | awk -v i=$i '$4 == "NFQUEUE" { print i, $1 }'
done >"$work/offsets"
trace_on "table == 'filter' && hook == 2 && protocol == 17"
echo 8192 >"$instance/buffer_size_kb"
flood_on 2000 1-10 0-499
n=$((3 * churn))
for ((j = 0; j < n; j++)); do
	for i in 3 0 7 1 6 2 5 4; do
		in_net router iptables-legacy-restore "$work/rules$i"
	done
done
flood_off
trace | grep verdict=QUEUE | columns queue rule >"$work/seen"
unknown=$(grep -c -- ' -1$' "$work/seen" || :)
check "churn: $((8 * n)) ruleset replacements: no event has an offset of another ruleset" \
	"$(grep -v -- ' -1$' "$work/seen" | sort -u | grep -vxFf "$work/offsets" || :)" ""
number=$(wc -l <"$work/seen")
check_that "churn: $number packets queued by all rulesets, $unknown with an unknown offset" \
	test "$(cut -d' ' -f1 "$work/seen" | sort -u | wc -l)" = 8 -a "$unknown" -lt "$number"
trace_off

# Readers and writers of the files.
in_net router iptables-legacy-restore <<'E'
*filter
:FORWARD ACCEPT
COMMIT
E
flood_on 2000 1-10 0-499
touch "$work/go"
while [[ -e $work/go ]]; do cat $debugfs/stats >/dev/null 2>&1 || :; done &
while [[ -e $work/go ]]; do cat $debugfs/percpu >/dev/null 2>&1 || :; done &
while [[ -e $work/go ]]; do echo 1 2>/dev/null >$debugfs/reset || :; done 2>/dev/null &
n=$((5 * churn)) unloads=0
for ((i = 0; i < n; i++)); do
	modprobe iptverdict
	# An unload fails while one of the files is open.
	for ((try = 0; try < 500; try++)); do
		! rmmod iptverdict 2>/dev/null || { unloads=$((unloads + 1)) && break; }
	done
done
rm "$work/go"
kill $flood
wait
check "churn: $n unloads during reads and writes of the files: all succeed" $unloads $n

# A reader that is stopped between two reads.
modprobe iptverdict
in_net client ping -qc 1 $server >/dev/null
(
	head -c 5 >/dev/null
	kill -STOP $BASHPID
	wc -c
) <$debugfs/stats >"$work/rest" &
reader=$!
wait_until grep -q '^State:.T' /proc/$reader/status
check_fails "churn: a stopped reader prevents unload" "in use" rmmod iptverdict
kill -CONT $reader
wait $reader
check_that "churn: a stopped reader reads the rest when it continues" \
	test "$(cat "$work/rest")" -gt 5
check_that "churn: the module unloads when its last reader has ended" rmmod iptverdict

done_testing
