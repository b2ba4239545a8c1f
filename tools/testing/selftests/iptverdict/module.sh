#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The module: its files, its counters beside those of iptables, and its life
# under traffic.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

if ! have_module "all tests of the module"; then
	done_testing
	exit
fi
make_hosts

# The module depends on the events, so ip_tables comes with it, and stays.
for module in iptverdict $(lsmod | sed -n 's/^\(iptable_[a-z]*\).*/\1/p') ip_tables; do
	! grep -q "^$module " /proc/modules || rmmod "$module"
done
modprobe iptverdict
check "ip_tables is loaded with the module" \
	"$(lsmod | awk '$1 == "ip_tables" { print $4 }')" iptverdict
check_fails "and cannot be unloaded before it" "in use" rmmod ip_tables
header="family table chain verdict packets bytes"
check "without a verdict there is only the header" "$(cat $debugfs/stats)" "$header"
check "in percpu, too" "$(cat $debugfs/percpu)" "family cpu ${header#family }"
rmmod iptverdict
check_that "then it can" rmmod ip_tables
check_fails "no files are left" "No such file" ls $debugfs
modprobe iptverdict

check "modes and owners" "$(stat -c '%n %a %U:%G' $debugfs/* | sed 's,.*/,,')" \
	"percpu 400 root:root
reset 200 root:root
stats 400 root:root"
# In a directory that the user may enter, only the modes decide.
chmod 755 /sys/kernel/debug
for file in stats percpu; do
	check_fails "an unprivileged user cannot read $file" "Permission denied" \
		setpriv --reuid 65534 --regid 65534 --clear-groups cat $debugfs/$file
done
check_fails "nor write reset" "Permission denied" \
	setpriv --reuid 65534 --regid 65534 --clear-groups bash -c "echo 1 >$debugfs/reset"
chmod 700 /sys/kernel/debug

# Known traffic: ten requests of 84 bytes, and their replies.
ipt router -P FORWARD ACCEPT
host client ping -qc 10 -i 0.01 $server >/dev/null
check "packets and bytes" "$(grep FORWARD $debugfs/stats)" "ipv4 filter FORWARD ACCEPT 20 1680"

# One write() of all of it, or of a newline where there is nothing.
write_reset() {
	python3 -c 'import os, sys
os.write(os.open(sys.argv[1], os.O_WRONLY), sys.argv[2].encode() or b"\n")' $debugfs/reset "$1"
}
for bad in 0 2 11 -1 y '' ' 1' '1 ' $'1\n\n' "$(printf '1%.0s' {1..5000})"; do
	check_fails "reset refuses $(printf %.10q "$bad")" "Invalid argument" write_reset "$bad"
done
check "and has changed nothing" \
	"$(grep FORWARD $debugfs/stats)" "ipv4 filter FORWARD ACCEPT 20 1680"
echo 1 >$debugfs/reset
check "reset" "$(cat $debugfs/stats)" "$header"
host client ping -qc 1 $server >/dev/null
check "counts go on after reset" "$(grep FORWARD $debugfs/stats)" "ipv4 filter FORWARD ACCEPT 2 168"
printf 1 >$debugfs/reset
check "reset without a newline" "$(cat $debugfs/stats)" "$header"

# STOLEN adds no bytes.
host router sysctl -qw net.ipv4.tcp_syncookies=1
ipt router -t raw -A PREROUTING -p tcp --dport 80 --syn -j CT --notrack
ipt router -A FORWARD -p tcp --dport 80 -m state --state INVALID,UNTRACKED -j SYNPROXY
syn $server 80
check "STOLEN has packets and no bytes" \
	"$(awk '$4 == "STOLEN" { print $1, $2, $3, ($5 > 0), $6 }' $debugfs/stats)" \
	"ipv4 filter FORWARD 1 0"

# Mixed traffic from two CPUs, against the counters of rules and policies.
host router iptables-legacy-restore <<'E'
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
cat >"$work/udp.py" <<'E'
import socket, sys
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[2])):
    try:
        out.sendto(b"x" * (i % 1000), (sys.argv[1], 9 + i % 8))
    except OSError:
        pass  # the ICMP error of an earlier datagram
E
mixed() {
	local cpu pids=()
	for cpu in 0 1; do
		host client taskset -c $cpu python3 "$work/udp.py" $server "$1" &
		pids+=($!)
	done
	host client ping -qc 5 -i 0.05 $server >/dev/null
	host client ping -qc 5 -i 0.05 $router >/dev/null
	wait "${pids[@]}"
	sleep 0.5
}
zero_counters
mixed 4000
both_counters "$work/got" "$work/saved"
"$here/ruleset.py" verdicts <"$work/saved" >"$work/want"
check "module and iptables agree on mixed traffic from two CPUs" \
	"$(cat "$work/got")" "$(cat "$work/want")"
# shellcheck disable=SC2016 # awk is to expand it
check_that "and it was all sorts of traffic" \
	awk 'NR > 1 { n[$4] += $5; n[$2] += $5 }
		END { exit !(n["DROP"] > 3000 && n["ACCEPT"] > 10000 && n["QUEUE"] == 1000 &&
			n["raw"] && n["mangle"] && n["filter"] && n["security"]) }' "$work/got"
percpu=$(awk 'NR > 1 { k = $1 " " $3 " " $4 " " $5; p[k] += $6; b[k] += $7 }
	END { for (k in p) print k, p[k], b[k] }' $debugfs/percpu)
check "percpu adds up to stats" "$(sort <<<"$percpu")" "$(sed 1d "$work/got" | sort)"
check "both CPUs have counted" \
	"$(awk 'NR > 1 { print $2 }' $debugfs/percpu | sort -u | xargs)" "0 1"

# Reset under traffic. What had been read before it is gone after it, and what
# is read after it has not been counted before.
packets() {
	awk '{ n += $5 } END { print n + 0 }' $debugfs/stats
}
zero_counters
host client python3 "$work/udp.py" $server 50000 &
pid=$!
while (($(packets) < 1000)); do
	sleep 0.1
done
before=$(packets)
echo 1 >$debugfs/reset
wait $pid
sleep 0.5
after=$(packets)
all=$(save_counters | "$here/ruleset.py" verdicts | awk '{ n += $5 } END { print n }')
check_that "reset under traffic starts anew: $before before, $after after, $all in all" \
	test "$after" -gt 0 -a $((before + after)) -le "$all"

# A CPU that goes offline keeps what it has counted.
zero_counters
host client taskset -c 1 ping -qc 4 -i 0.01 $server >/dev/null
before=$(cat $debugfs/stats $debugfs/percpu)
echo 0 >/sys/devices/system/cpu/cpu1/online
check "counts of an offline CPU stay" "$(cat $debugfs/stats $debugfs/percpu)" "$before"
check_that "and there were some" grep -q '^ipv4 1 ' $debugfs/percpu
echo 1 >/sys/devices/system/cpu/cpu1/online
check "and are there when it is back" "$(cat $debugfs/stats $debugfs/percpu)" "$before"
rmmod iptverdict

# Loading and unloading under traffic, which does not end by itself.
host client python3 "$work/udp.py" $server 1000000000 &
pid=$!
for _ in $(seq 20); do
	modprobe iptverdict
	cat $debugfs/stats >/dev/null
	rmmod iptverdict
done
modprobe iptverdict
sleep 0.5
check_that "it counts after 20 loads and unloads under traffic" grep -q DROP $debugfs/stats
# An open file pins the module.
exec 3<$debugfs/stats
check_fails "no unload while a reader is in mid-file" "in use" rmmod iptverdict
check "the reader is not disturbed" "$(head -n 1 <&3)" "$header"
exec 3<&-
check_that "unload when it has closed the file" rmmod iptverdict
kill $pid
wait $pid 2>/dev/null || :

done_testing
