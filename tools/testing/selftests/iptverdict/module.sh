#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# iptverdict: its files, its counters compared with those of iptables, CPUs that go offline,
# and loads and unloads under traffic.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

if ! have_module "module: all tests"; then
	done_testing
	exit
fi
make_hosts

# iptverdict depends on ip_tables, which has the event.
for module in iptverdict $(lsmod | sed -n 's/^\(iptable_[a-z]*\).*/\1/p') ip_tables; do
	! grep -q "^$module " /proc/modules || rmmod "$module"
done
modprobe iptverdict
check "module: loads ip_tables" \
	"$(lsmod | awk '$1 == "ip_tables" { print $4 }')" iptverdict
check_fails "module: keeps ip_tables loaded" "in use" rmmod ip_tables
header="family table chain verdict packets bytes"
check "stats: only the header before the first verdict" "$(cat $debugfs/stats)" "$header"
check "percpu: only the header before the first verdict" "$(cat $debugfs/percpu)" \
	"family cpu ${header#family }"
rmmod iptverdict
check_that "module: unload releases ip_tables" rmmod ip_tables
check_fails "module: unload removes the files" "No such file" ls $debugfs
modprobe iptverdict

check "module: modes and owners of its files" \
	"$(stat -c '%n %a %U:%G' $debugfs/* | sed 's,.*/,,')" \
	"percpu 400 root:root
reset 200 root:root
stats 400 root:root"
# Open the directory, so that only the modes of the files decide.
chmod 755 /sys/kernel/debug
for file in stats percpu; do
	check_fails "$file: an unprivileged user cannot read it" "Permission denied" \
		setpriv --reuid 65534 --regid 65534 --clear-groups cat $debugfs/$file
done
check_fails "reset: an unprivileged user cannot write it" "Permission denied" \
	setpriv --reuid 65534 --regid 65534 --clear-groups bash -c "echo 1 >$debugfs/reset"
chmod 700 /sys/kernel/debug

# Ten requests of 84 bytes, and their replies.
ipt router -P FORWARD ACCEPT
in_net client ping -qc 10 -i 0.01 $server >/dev/null
check "stats: packets and bytes of pings" "$(grep FORWARD $debugfs/stats)" \
	"ipv4 filter FORWARD ACCEPT 20 1680"

# write_reset TEXT: writes TEXT, or a newline if it is empty, to reset by one write().
write_reset() {
	printf %s "${1:-$'\n'}" |
		dd of=$debugfs/reset bs=8192 iflag=fullblock conv=notrunc status=none
}
for bad in 0 2 11 -1 y '' ' 1' '1 ' $'1\n\n' "$(printf '1%.0s' {1..5000})"; do
	check_fails "reset: rejects $(printf %.10q "$bad")" "Invalid argument" write_reset "$bad"
done
check "reset: a rejected write changes no counter" \
	"$(grep FORWARD $debugfs/stats)" "ipv4 filter FORWARD ACCEPT 20 1680"
echo 1 >$debugfs/reset
check "reset: 1 empties stats" "$(cat $debugfs/stats)" "$header"
in_net client ping -qc 1 $server >/dev/null
check "reset: counting continues after a reset" "$(grep FORWARD $debugfs/stats)" \
	"ipv4 filter FORWARD ACCEPT 2 168"
printf 1 >$debugfs/reset
check "reset: accepts 1 without a newline" "$(cat $debugfs/stats)" "$header"

# SYNPROXY steals the SYN.
in_net router sysctl -qw net.ipv4.tcp_syncookies=1
ipt router -t raw -A PREROUTING -p tcp --dport 80 --syn -j CT --notrack
ipt router -A FORWARD -p tcp --dport 80 -m state --state INVALID,UNTRACKED -j SYNPROXY
syn $server 80
settle
check "stats: STOLEN has packets, no bytes" \
	"$(awk '$4 == "STOLEN" { print $1, $2, $3, ($5 > 0), $6 }' $debugfs/stats)" \
	"ipv4 filter FORWARD 1 0"

# Mixed traffic from two CPUs.
in_net router iptables-legacy-restore <<'E'
*raw
:PREROUTING ACCEPT
:OUTPUT ACCEPT
-A PREROUTING -p udp --dport 9 -j DROP
COMMIT
*mangle
:PREROUTING ACCEPT
:INPUT ACCEPT
:FORWARD ACCEPT
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
-A FORWARD -p udp -j MARK --set-mark 7
COMMIT
*security
:INPUT ACCEPT
:FORWARD ACCEPT
:OUTPUT ACCEPT
-A FORWARD -p udp --dport 14 -j DROP
COMMIT
*filter
:INPUT DROP
:FORWARD DROP
:OUTPUT ACCEPT
:udp -
-A INPUT -p icmp -j ACCEPT
-A FORWARD -p icmp -j ACCEPT
-A FORWARD -p udp -j udp
-A udp -p udp --dport 10 -j ACCEPT
-A udp -p udp --dport 11 -j DROP
-A udp -p udp --dport 12 -j REJECT
-A udp -p udp -m multiport --dports 13,14 -m comment --comment both -j ACCEPT
-A udp -p udp --dport 15 -j NFQUEUE --queue-num 3
COMMIT
E
# mixed COUNT: two senders of COUNT datagrams, one on each CPU, and pings.
mixed() {
	local cpu pids=()
	for cpu in 0 1; do
		in_net client taskset -c $cpu "$here/send.py" --count "$1" $server 9-16 0-999 &
		pids+=($!)
	done
	in_net client ping -qc 5 -i 0.05 $server >/dev/null
	in_net client ping -qc 5 -i 0.05 $router >/dev/null
	wait "${pids[@]}"
	settle
}
zero_counters
mixed 4000
both_counters "$work/got" "$work/saved"
"$here/ruleset.py" verdicts <"$work/saved" >"$work/want"
check "module: agrees with iptables on mixed traffic from two CPUs" \
	"$(cat "$work/got")" "$(cat "$work/want")"
# shellcheck disable=SC2016 # awk expands them
check_that "module: the mixed traffic has all kinds of verdicts and tables" \
	awk 'NR > 1 { n[$4] += $5; n[$2] += $5 }
		END { exit !(n["DROP"] > 3000 && n["ACCEPT"] > 10000 && n["QUEUE"] == 1000 &&
			n["raw"] && n["mangle"] && n["filter"] && n["security"]) }' "$work/got"
percpu=$(awk 'NR > 1 { k = $1 " " $3 " " $4 " " $5; p[k] += $6; b[k] += $7 }
	END { for (k in p) print k, p[k], b[k] }' $debugfs/percpu)
check "percpu: adds up to stats" "$(sort <<<"$percpu")" "$(sed 1d "$work/got" | sort)"
check "percpu: both CPUs count" \
	"$(awk 'NR > 1 { print $2 }' $debugfs/percpu | sort -u | xargs)" "0 1"

# Reset under traffic: a packet may be missing in both readings, but never be in both.
# packets: prints the sum of all rows of stats.
packets() {
	awk '{ n += $5 } END { print n + 0 }' $debugfs/stats
}
# counts N: succeeds if the module has counted at least N packets.
counts() {
	(($(packets) >= $1))
}
zero_counters
in_net client "$here/send.py" --count 50000 $server 9-16 0-999 &
pid=$!
wait_until counts 1000
before=$(packets)
echo 1 >$debugfs/reset
wait $pid
settle
after=$(packets)
all=$(save_counters | "$here/ruleset.py" verdicts | awk '{ n += $5 } END { print n }')
echo "# $before packets before the reset, $after after it, $all in total"
check_that "reset: under traffic, counts no packet twice" \
	test "$after" -gt 0 -a $((before + after)) -le "$all"

# Counts of a CPU that goes offline stay.
zero_counters
in_net client taskset -c 1 ping -qc 4 -i 0.01 $server >/dev/null
before=$(cat $debugfs/stats $debugfs/percpu)
echo 0 >/sys/devices/system/cpu/cpu1/online
check "percpu: the counts of an offline CPU stay" "$(cat $debugfs/stats $debugfs/percpu)" "$before"
check_that "percpu: the offline CPU has counted" grep -q '^ipv4 1 ' $debugfs/percpu
echo 1 >/sys/devices/system/cpu/cpu1/online
check "percpu: the counts stay when the CPU is online again" \
	"$(cat $debugfs/stats $debugfs/percpu)" "$before"
rmmod iptverdict

# Loads and unloads under traffic. The sender is not started by in_net, so that $! is the
# sender, not a subshell.
nsenter --net=/run/netns/client "$here/send.py" --count 0 $server 9-16 0-999 &
pid=$!
for _ in $(seq 20); do
	modprobe iptverdict
	cat $debugfs/stats >/dev/null
	rmmod iptverdict
done
modprobe iptverdict
check_that "module: counts after 20 loads and unloads under traffic" \
	wait_until grep -q DROP $debugfs/stats
# An open file pins the module.
exec 3<$debugfs/stats
check_fails "module: an open file prevents unload" "in use" rmmod iptverdict
check "stats: a rejected unload leaves an open file readable" "$(head -n 1 <&3)" "$header"
exec 3<&-
check_that "module: unloads once the file is closed" rmmod iptverdict
kill $pid
wait $pid 2>/dev/null || :

done_testing
