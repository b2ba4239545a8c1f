#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# BPF programs on the event: raw and typed, by libbpf and by bpftool.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

make_hosts
modprobe ip_tables
pinned=/sys/fs/bpf/iptverdict
mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf

# On the filter table of the router alone: DROP 4 datagrams of 38 bytes, ACCEPT
# 3 requests and 3 replies of 84 bytes.
ipt router -A FORWARD -p udp --dport 9 -j DROP
traffic() {
	for _ in 1 2 3 4; do
		host client bash -c "echo 123456789 >/dev/udp/$server/9"
	done
	host client ping -qc 3 -i 0.1 $server >/dev/null
}
want() {
	# DROP is 0, ACCEPT is 1.
	printf '%s 0 4 152 0\n%s 1 6 504 0\n' "$1" "$1"
}

coproc LOADER { "$here/bpf_verdict" "$here/verdict.bpf.o" raw_counts btf_counts 2>"$work/loader"; }
pid=$LOADER_PID
read -r state <&"${LOADER[0]}" || state=$(cat "$work/loader")
check "libbpf attaches both programs" "$state" attached
traffic
exec {in}<&"${LOADER[0]}"
eval "exec ${LOADER[1]}>&-"
got=$(cat <&"$in")
wait "$pid" || :
check "raw_tp counts" "$(grep raw_counts <<<"$got")" "$(want raw_counts)"
check "tp_btf counts" "$(grep btf_counts <<<"$got")" "$(want btf_counts)"

check_that "bpftool attaches both programs" \
	bpftool prog loadall "$here/verdict.bpf.o" $pinned pinmaps ${pinned}_maps autoattach
traffic
sums() {
	bpftool -j map dump pinned "${pinned}_maps/$1" | python3 -c '
import json, sys
for entry in json.load(sys.stdin):
    values = [cpu["value"] for cpu in entry["formatted"]["values"]]
    total = [sum(v[name] for v in values) for name in ("packets", "bytes", "no_packet")]
    if total[0]:
        print(sys.argv[1], entry["formatted"]["key"], *total)' "$1"
}
check "raw_tp counts, attached by bpftool" "$(sums raw_counts)" "$(want raw_counts)"
check "tp_btf counts, attached by bpftool" "$(sums btf_counts)" "$(want btf_counts)"
# A stolen packet is none.
host router sysctl -qw net.ipv4.tcp_syncookies=1
ipt router -t raw -A PREROUTING -p tcp --dport 80 --syn -j CT --notrack
ipt router -A FORWARD -p tcp --dport 80 -m state --state INVALID,UNTRACKED -j SYNPROXY
syn $server 80
stolen=$(sums btf_counts | awk '$2 == 2 { print ($3 > 0), $4, ($3 == $5) }')
check "a program gets no stolen packet" "$stolen" "1 0 1"
rm -r $pinned ${pinned}_maps

check_fails "the verifier refuses a program that does not check for a packet" \
	"invalid mem access 'trusted_ptr_or_null_'" \
	bpftool prog load "$here/unchecked.bpf.o" /sys/fs/bpf/unchecked

done_testing
