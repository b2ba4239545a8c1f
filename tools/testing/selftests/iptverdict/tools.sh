#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The event through the tools that people have: perf, bpftrace, trace-cmd.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

make_hosts
ipt router -A FORWARD -p icmp --icmp-type echo-request -m comment --comment drops -j DROP
offset=$(host router "$here/ruleset.py" blob filter | awk '$5 == "drops" { print $1 }')
cookie=$(netns_cookie router)
fields="table=filter hook=FORWARD verdict=DROP policy=0 rule=$offset in=r0 out=r1 skbaddr=PTR"
fields+=" net_cookie=$cookie len=84 protocol=1 saddr=$client daddr=$server"
ping3=(ip netns exec client ping -qc 3 -i 0.1 -W 1 "$server")
three() {
	printf '%s\n' "$1" "$1" "$1"
}

# ping fails, because it gets no reply.
perf record -qae iptables:ipt_verdict -o "$work/perf.data" -- "${ping3[@]}" >"$work/perf" 2>&1 || :
check "perf record and perf script" \
	"$(perf script -i "$work/perf.data" -F trace 2>/dev/null |
		sed 's/skbaddr=[^ ]*/skbaddr=PTR/; s/ *$//')" \
	"$(three "$fields")"

# until_attached FILE: bpftrace says BEGIN when its probes are attached.
until_attached() {
	local i
	for ((i = 0; i < 600; i++)); do
		! grep -q attached "$1" || return 0
		sleep 0.1
	done
	cat "$1"
	return 1
}
# bpftraced PROGRAM: what bpftrace prints of three pings.
bpftraced() {
	local pid
	bpftrace -e "BEGIN { printf(\"attached\\n\"); } $1" >"$work/bpftrace" 2>&1 &
	pid=$!
	if until_attached "$work/bpftrace"; then
		"${ping3[@]}" >/dev/null || :
	fi
	kill -INT $pid 2>/dev/null || :
	wait $pid || :
	sed '/attached/d; /^Attach/d; /^$/d' "$work/bpftrace"
}

check "bpftrace on the trace event: every field" \
	"$(bpftraced 'tracepoint:iptables:ipt_verdict {
		printf("%s %d %d %d %d %s %s %d %d %d %s %s %d\n", args.table, args.hook,
			args.verdict, args.policy, args.rule, args.in, args.out,
			args.net_cookie, args.len, args.protocol,
			ntop(args.saddr), ntop(args.daddr), args.skbaddr != 0); }')" \
	"$(three "filter 2 0 0 $offset r0 r1 $cookie 84 1 $client $server 1")"
check "bpftrace on the raw tracepoint" \
	"$(bpftraced 'rawtracepoint:ipt_verdict { @[arg4 & 0xff] = count(); }')" "@[0]: 3"

trace-cmd record -q -e iptables:ipt_verdict -o "$work/trace.dat" "${ping3[@]}" \
	>"$work/cmd" 2>&1 || :
check "trace-cmd record and report" \
	"$(trace-cmd report -i "$work/trace.dat" 2>&1 |
		sed -n 's/.* ipt_verdict: *//p' | sed 's/skbaddr=[^ ]*/skbaddr=PTR/')" \
	"$(three "$fields")"

done_testing
