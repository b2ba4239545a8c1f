#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# BPF programs on ipt_verdict: raw_tp and tp_btf, attached by libbpf and by bpftool.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

make_hosts
modprobe ip_tables
pinned=/sys/fs/bpf/iptverdict
mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf

# traffic: DROP of 4 datagrams of 38 bytes, ACCEPT of 3 requests and 3 replies of 84 bytes,
# by the filter table of the router, which is the only table.
ipt router -A FORWARD -p udp --dport 9 -j DROP
traffic() {
	datagrams $server 9 9 9 9
	in_net client ping -qc 3 -i 0.1 $server >/dev/null
}
# want MAP: prints the expected counts of MAP: DROP is 0, ACCEPT is 1.
want() {
	printf '%s 0 4 152 0\n%s 1 6 504 0\n' "$1" "$1"
}

coproc LOADER {
	"$here/bpf_verdict" ip_tables "$here/verdict.bpf.o" raw_counts btf_counts 2>"$work/loader"
}
pid=$LOADER_PID
read -r state <&"${LOADER[0]}" || state=$(cat "$work/loader")
check "libbpf: attaches the programs" "$state" attached
traffic
exec {in}<&"${LOADER[0]}"
eval "exec ${LOADER[1]}>&-"
got=$(cat <&"$in")
wait "$pid" || :
check "libbpf: counts of raw_tp" "$(grep raw_counts <<<"$got")" "$(want raw_counts)"
! have_btf ip_tables "libbpf: counts of tp_btf" ||
	check "libbpf: counts of tp_btf" "$(grep btf_counts <<<"$got")" "$(want btf_counts)"
have_btf ip_tables "bpftool: counts of raw_tp and tp_btf" || {
	done_testing
	exit
}

check_that "bpftool: attaches raw_tp and tp_btf programs" \
	bpftool prog loadall "$here/verdict.bpf.o" $pinned pinmaps ${pinned}_maps autoattach
traffic
# sums MAP: prints what the map has counted, as bpf_verdict does.
sums() {
	bpftool -j map dump pinned "${pinned}_maps/$1" | python3 -c '
import json, sys
for entry in json.load(sys.stdin):
    values = [cpu["value"] for cpu in entry["formatted"]["values"]]
    total = [sum(v[name] for v in values) for name in ("packets", "bytes", "special")]
    if total[0]:
        print(sys.argv[1], entry["formatted"]["key"], *total)' "$1"
}
check "bpftool: counts of raw_tp" "$(sums raw_counts)" "$(want raw_counts)"
check "bpftool: counts of tp_btf" "$(sums btf_counts)" "$(want btf_counts)"

# SYNPROXY steals the SYN.
in_net router sysctl -qw net.ipv4.tcp_syncookies=1
ipt router -t raw -A PREROUTING -p tcp --dport 80 --syn -j CT --notrack
ipt router -A FORWARD -p tcp --dport 80 -m state --state INVALID,UNTRACKED -j SYNPROXY
syn $server 80
settle
check "tp_btf: STOLEN has no packet" \
	"$(sums btf_counts | awk '$2 == 2 { print ($3 > 0), $4, ($3 == $5) }')" "1 0 1"
rm -r $pinned ${pinned}_maps

check_fails "verifier: rejects a program that does not check the packet for NULL" \
	"invalid mem access 'trusted_ptr_or_null_'" \
	bpftool prog load "$here/unchecked.bpf.o" /sys/fs/bpf/unchecked

done_testing
