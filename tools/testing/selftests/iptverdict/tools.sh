#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# ipt_verdict in perf, bpftrace and trace-cmd.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

make_hosts
ipt router -A FORWARD -p icmp --icmp-type echo-request -m comment --comment drops -j DROP
offset=$(in_net router "$here/ruleset.py" blob filter | awk '$5 == "drops" { print $1 }')
cookie=$(netns_cookie router)
netns=$(netns_inode router)
fields="table=filter hook=FORWARD verdict=DROP queue=0 bypass=0 errno=0 policy=0 rule=$offset"
fields+=" ruleset=N in=r0 out=r1 mark=0x0 ctstate=NONE skbaddr=PTR net_cookie=$cookie netns=$netns"
fields+=" pf=2 len=84 protocol=1 saddr=$client daddr=$server"
# Fails, because it gets no reply.
ping3=(nsenter --net=/run/netns/client ping -qc 3 -i 0.1 -W 1 "$server")
# three LINE: prints the line for each ping.
three() {
	printf '%s\n' "$1" "$1" "$1"
}

perf record -qaBNe iptables:ipt_verdict -o "$work/perf.data" -- "${ping3[@]}" \
	>"$work/perf" 2>&1 || :
check "perf: record and script print every field" \
	"$(perf script -i "$work/perf.data" -F trace 2>/dev/null |
		sed 's/skbaddr=[^ ]*/skbaddr=PTR/; s/ruleset=[1-9][0-9]*/ruleset=N/; s/ *$//')" \
	"$(three "$fields")"

# start NAME PROGRAM: runs bpftrace in the background. BEGIN runs once all probes are attached.
pids=()
start() {
	bpftrace -e "BEGIN { printf(\"attached\\n\"); } $2" >"$work/$1" 2>&1 &
	pids+=($!)
}
# printed NAME: what bpftrace has printed of the pings.
printed() {
	sed '/attached/d; /^Attach/d; /^$/d' "$work/$1"
}
program='tracepoint:iptables:ipt_verdict {
	printf("%s %d %d %d %d %s %s %d %d %d %s %s %d\n", args.table, args.hook,
		args.verdict, args.policy, args.rule, args.in, args.out,
		args.net_cookie, args.len, args.protocol,
		ntop(args.saddr), ntop(args.daddr), args.skbaddr != 0); }'
names="event raw"
if old_bpftrace; then
	program=${program//args./args->}
	names=event
else
	start raw 'rawtracepoint:ipt_verdict { @[arg4 & 0xff] = count(); }'
fi
start event "$program"
for name in $names; do
	wait_until grep -q attached "$work/$name" || :
done
"${ping3[@]}" >/dev/null || :
kill -INT "${pids[@]}" 2>/dev/null || :
wait "${pids[@]}" || :
check "bpftrace: every field of the trace event" "$(printed event)" \
	"$(three "filter 2 0 0 $offset r0 r1 $cookie 84 1 $client $server 1")"
if old_bpftrace; then
	ktap_test_skip "bpftrace: verdict of the raw tracepoint: too old for those of modules"
else
	check "bpftrace: verdict of the raw tracepoint" "$(printed raw)" "@[0]: 3"
fi

trace-cmd record -q -e iptables:ipt_verdict -o "$work/trace.dat" "${ping3[@]}" \
	>"$work/cmd" 2>&1 || :
check "trace-cmd: record and report print every field" \
	"$(trace-cmd report -i "$work/trace.dat" 2>&1 |
		sed -n 's/.* ipt_verdict: *//p' |
		sed 's/skbaddr=[^ ]*/skbaddr=PTR/; s/ruleset=[1-9][0-9]*/ruleset=N/')" \
	"$(three "$fields")"

done_testing
