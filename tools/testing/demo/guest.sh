#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The demonstration, in the guest: a router with a real ruleset and real
# traffic; what the module and a BPF tool counted, beside iptables itself.

set -euo pipefail

here=$(dirname "$(realpath "$0")")
selftests=$here/../selftests/iptverdict
# shellcheck source=tools/testing/selftests/iptverdict/hosts.sh
. "$selftests/hosts.sh"

work=$(mktemp -d)
make_hosts
host router iptables-legacy-restore "$here/ruleset"
host router ip6tables-legacy-restore "$here/ruleset6"
modprobe iptverdict

# The packets of known number; sockets that get an ICMP error go on.
cat >"$work/udp.py" <<'E'
import socket, sys
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(200):
    try:
        out.sendto(b"x" * i, (sys.argv[1], int(sys.argv[2])))
    except OSError:
        pass
E
host server iperf3 --server --daemon --logfile "$work/iperf3"

# BEGIN runs when all probes are attached.
bpftrace -e 'BEGIN { printf("attached\n"); } rawtracepoint:ipt_verdict, rawtracepoint:ip6t_verdict { @[arg4 & 0xff] = count(); }' \
	>"$work/bpftrace" 2>&1 &
bpftrace=$!
for _ in $(seq 600); do
	! grep -q attached "$work/bpftrace" || break
	sleep 0.1
done
grep -q attached "$work/bpftrace" || {
	cat "$work/bpftrace" >&2
	exit 1
}
zero_counters

echo "-- traffic from $client over the router to $server --"
host client iperf3 --client $server --bytes 20M | sed -n 's/^.*sender$/TCP accepted:     &/p'
host client iperf3 --client $router --port 8080 --bytes 5M | sed -n 's/^.*sender$/TCP after DNAT:   &/p'
for port in 23 25; do
	host client timeout 2 bash -c "exec 3<>/dev/tcp/$server/$port" 2>/dev/null || echo "TCP to port $port: refused or dropped"
done
for port in 7000 7001 7002 7003 7004 7005 7006; do
	host client python3 "$work/udp.py" $server $port
done
echo "UDP to ports 7000-7006: 200 datagrams each"
host client ping -qc 20 -i 0.02 $server | sed -n 's/^.*packets/ICMP to the server: &/p'
host client ping -qc 20 -i 0.02 $router | sed -n 's/^.*packets/ICMP to the router: &/p'
host client ping -6 -qc 20 -i 0.02 $server6 | sed -n 's/^.*packets/ICMPv6 to the server: &/p'
host client iperf3 --client $server6 --bytes 2M | sed -n 's/^.*sender$/TCP over IPv6:    &/p'
host client timeout 2 bash -c "exec 3<>/dev/tcp/$server6/25" 2>/dev/null || echo "TCP over IPv6 to port 25: dropped"

# Until all is quiet; neighbours are asked after five seconds, once.
previous=
while current=$(cat /sys/kernel/debug/iptverdict/stats) && [[ $current != "$previous" ]]; do
	previous=$current
	sleep 6
done
both_counters "$work/stats" "$work/saved"
kill -INT $bpftrace
wait $bpftrace || :

echo
echo "-- /sys/kernel/debug/iptverdict/stats --"
cat "$work/stats"
"$selftests/ruleset.py" verdicts <"$work/saved" >"$work/iptables"
echo
python3 "$here/compare.py" "$work/stats" "$work/iptables" "$work/bpftrace"
