#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Everything comes and goes under traffic: the module, BPF programs, rulesets, network
# namespaces, CPUs, readers. CHURN: how often; the numbers below are multiplied by it.
# LOADS: of the module, if other than ten times that.
#
# needs CONFIG_RUST

# shellcheck source=tools/env.sh
. "$(dirname "$(realpath "$0")")/../../env.sh"
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

churn=${CHURN:-1}
make_hosts
host client ping -qc 1 $server >/dev/null
mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf
modprobe ip_tables

# Some thousand datagrams a second to ten ports of the server, until it is stopped.
cat >"$work/flood.py" <<'E'
import itertools, os, socket, sys, time
os.nice(5)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in itertools.count():
    try:
        out.sendto(b"x" * (i % 500), (sys.argv[1], 1 + i % 10))
    except OSError:
        pass  # the ICMP error of an earlier datagram
    if i == 200:
        open(sys.argv[2], "w").close()
    if i % 20 == 0:
        time.sleep(0.005)
E
flood=
flood_on() {
	# Not by a function, whose process would be another.
	ip netns exec client python3 "$work/flood.py" $server "$work/flooding" &
	flood=$!
	while [[ ! -e $work/flooding ]]; do sleep 0.1; done
	rm "$work/flooding"
}
flood_off() {
	kill $flood
	wait $flood 2>/dev/null || :
	sleep 0.5
}
# agree NAME: module and iptables, after the flood.
agree() {
	both_counters "$work/got" "$work/saved"
	"$here/ruleset.py" verdicts <"$work/saved" | grep '^ipv4' >"$work/want" || :
	check "$1: module and iptables agree" "$(grep '^ipv4' "$work/got")" "$(cat "$work/want")"
	check_that "$1: there was traffic" test "$(awk '{ n += $5 } END { print n + 0 }' "$work/want")" -gt 100
}

host router iptables-legacy-restore <<'E'
*filter
:FORWARD ACCEPT
-A FORWARD -p udp --dport 1:3 -j DROP
-A FORWARD -p udp --dport 4 -j REJECT
COMMIT
E
flood_on

# The module.
n=${LOADS:-$((10 * churn))}
for ((i = 0; i < n; i++)); do
	modprobe iptverdict
	rmmod iptverdict
done
modprobe iptverdict
sleep 0.3
check_that "$n loads and unloads: it counts after them" grep -q ' FORWARD DROP ' $debugfs/stats
flood_off

# BPF programs beside it, on the same event.
zero_counters
flood_on
n=$((5 * churn))
for ((i = 0; i < n; i++)); do
	bpftool prog loadall "$BENCH/raw_tp+count.bpf.o" /sys/fs/bpf/churn autoattach
	rm -r /sys/fs/bpf/churn
done
flood_off
agree "$n programs attached and detached"

# CPUs.
zero_counters
flood_on
n=$((5 * churn))
for ((i = 0; i < n; i++)); do
	echo 0 >/sys/devices/system/cpu/cpu1/online
	sleep 0.1
	echo 1 >/sys/devices/system/cpu/cpu1/online
	sleep 0.1
done
flood_off
agree "$n times a CPU offline and online"

# Network namespaces, with two pings each: its input sees the requests and the replies.
zero_counters
flood_on
n=$((10 * churn))
for ((i = 0; i < n; i++)); do
	ip netns add churn
	ip -n churn link set lo up
	host churn iptables-legacy -A INPUT -p icmp -j ACCEPT
	host churn ping -qc 2 -i 0.01 127.0.0.1 >/dev/null
	ip netns del churn
done
flood_off
check "$n network namespaces come and go: what they saw is counted" \
	"$(grep '^ipv4 filter INPUT' $debugfs/stats)" \
	"ipv4 filter INPUT ACCEPT $((4 * n)) $((4 * n * 84))"

# Rulesets, each of which says by the number of its queue which it is. An offset is
# that of the ruleset that the packet was in, or unknown.
for i in 0 1 2 3 4 5 6 7; do
	{
		echo '*filter'
		for ((j = 0; j < i * 3; j++)); do
			echo "-A FORWARD -s 192.0.2.$j -j ACCEPT"
		done
		echo "-A FORWARD -p udp -j NFQUEUE --queue-num $i --queue-bypass"
		echo COMMIT
	} >"$work/rules$i"
	host router iptables-legacy-restore "$work/rules$i"
	host router "$here/ruleset.py" blob filter | awk -v i=$i '$4 == "NFQUEUE" { print i, $1 }'
done >"$work/offsets"
trace_on "table == 'filter' && hook == 2 && protocol == 17"
echo 8192 >"$instance/buffer_size_kb"
flood_on
n=$((3 * churn))
for ((j = 0; j < n; j++)); do
	for i in 3 0 7 1 6 2 5 4; do
		host router iptables-legacy-restore "$work/rules$i"
	done
done
flood_off
trace | sed -n 's/.*verdict=QUEUE queue=\([0-9]*\) rule=\([-0-9]*\) .*/\1 \2/p' >"$work/seen"
unknown=$(grep -c -- ' -1$' "$work/seen" || :)
check "$((8 * n)) rulesets replaced: no offset of another ruleset" \
	"$(grep -v -- ' -1$' "$work/seen" | sort -u | grep -vxFf "$work/offsets" || :)" ""
check_that "$(wc -l <"$work/seen") packets, of which $unknown unknown, in all rulesets" \
	test "$(cut -d' ' -f1 "$work/seen" | sort -u | wc -l)" = 8 -a "$unknown" -lt "$(wc -l <"$work/seen")"
trace_off

# Readers and writers, while the module comes and goes.
host router iptables-legacy-restore <<'E'
*filter
:FORWARD ACCEPT
COMMIT
E
flood_on
touch "$work/go"
while [[ -e $work/go ]]; do cat $debugfs/stats >/dev/null 2>&1 || :; done &
while [[ -e $work/go ]]; do cat $debugfs/percpu >/dev/null 2>&1 || :; done &
while [[ -e $work/go ]]; do echo 1 2>/dev/null >$debugfs/reset || :; done 2>/dev/null &
n=$((5 * churn)) unloads=0
for ((i = 0; i < n; i++)); do
	modprobe iptverdict
	# An open file keeps it: until none is.
	for ((try = 0; try < 500; try++)); do
		! rmmod iptverdict 2>/dev/null || { unloads=$((unloads + 1)) && break; }
	done
done
rm "$work/go"
kill $flood
wait
check "$n unloads beside readers and writers" $unloads $n

# A reader that is stopped in mid-file.
modprobe iptverdict
host client ping -qc 1 $server >/dev/null
python3 -c "
import os, signal
file = open('$debugfs/stats', 'rb', buffering=0)
file.read(5)
os.kill(os.getpid(), signal.SIGSTOP)
print(len(file.read()) > 5)" >"$work/reader" &
reader=$!
while [[ $(ps -o state= $reader) != T* ]]; do sleep 0.1; done
check_fails "a stopped reader keeps the module" "in use" rmmod iptverdict
kill -CONT $reader
wait $reader
check "and reads on when it continues" "$(cat "$work/reader")" True
check_that "then the module can go" rmmod iptverdict

done_testing
