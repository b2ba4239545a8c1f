#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The examples of samples/bpf, and the commands that README and the documentation
# show: what each says of known traffic.

# shellcheck source=tools/env.sh
. "$(dirname "$(realpath "$0")")/../../env.sh"
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

samples=$REPO/samples/bpf
make_hosts
host router iptables-legacy-restore <<'E'
*filter
:INPUT ACCEPT
:FORWARD DROP
:OUTPUT ACCEPT
:user -
-A FORWARD -p icmp -m comment --comment "pings may pass" -j ACCEPT
-A FORWARD -p udp -j user
-A user -p udp --dport 7 -m multiport --dports 7,8 -m comment --comment "no echo" -j DROP
-A user -p udp --dport 9 -m comment --comment "no discard" -j REJECT
COMMIT
E
cookie=$(netns_cookie router)
host router "$here/ruleset.py" blob filter >"$work/blob"
# rule CHAIN PLACE [BLOB]: its offset, in the table of the router.
rule() {
	awk -v c="$1" -v p="$2" '$2 == c && $3 == p { print $1 }' "${3:-$work/blob}"
}

# The server's table lets all pass.
ipt server -L -n >/dev/null

# ready EXAMPLE TEXT: waits until it says that it is attached.
ready() {
	local i
	for ((i = 0; i < 3000; i++)); do
		! grep -q "$2" "$work/$1" || return 0
		sleep 0.1
	done
	echo "# $1 does not start: $(tail -n 3 "$work/$1")"
}

# All at a time, each with its own program on the event: bpftrace is slow to start.
modprobe ip_tables
pids=()
for name in verdicts rules drops netns; do
	"$samples/$name.bt" >"$work/$name" 2>&1 &
	pids+=($!)
done
"$BUILD/samples/ipt_rule" >"$work/ipt_rule" 2>&1 &
pids+=($!)
for name in verdicts rules netns; do
	ready $name counting
done
ready drops TABLE
ready ipt_rule TABLE

# 3 pings and replies of 84 bytes; datagrams of 38 bytes, of which a rule drops 2,
# another rejects one, with an error of 66 bytes, and the policy drops one.
host client ping -qc 3 -i 0.1 $server >/dev/null
for port in 7 7 9 11; do
	host client bash -c "echo 123456789 >/dev/udp/$server/$port"
done
sleep 1
kill -INT "${pids[@]}"
wait "${pids[@]}" || :

# said EXAMPLE: blanks made one.
said() {
	sed 's/  */ /g; s/ $//; /^Attach/d; /^$/d; /^counting/d' "$work/$1"
}

check "verdicts.bt" "$(said verdicts | sort)" \
	"@bytes[filter, FORWARD, ACCEPT]: 504
@bytes[filter, FORWARD, DROP]: 152
@bytes[filter, INPUT, ACCEPT]: 252
@bytes[filter, OUTPUT, ACCEPT]: 318
@packets[filter, FORWARD, ACCEPT]: 6
@packets[filter, FORWARD, DROP]: 4
@packets[filter, INPUT, ACCEPT]: 3
@packets[filter, OUTPUT, ACCEPT]: 4"

server_cookie=$(netns_cookie server)
host server "$here/ruleset.py" blob filter >"$work/server"
check "rules.bt" "$(said rules | sed -n '/^@/p' | sort)" \
	"$(sort <<-E
		@packets[$cookie, filter, $(rule FORWARD 1)]: 6
		@packets[$cookie, filter, $(rule user 1)]: 2
		@packets[$cookie, filter, $(rule user 2)]: 1
		@packets[$cookie, filter, $(rule FORWARD policy)]: 1
		@packets[$cookie, filter, $(rule OUTPUT policy)]: 1
		@packets[$server_cookie, filter, $(rule INPUT policy "$work/server")]: 3
		@packets[$server_cookie, filter, $(rule OUTPUT policy "$work/server")]: 3
	E
	)"

check "drops.bt" "$(said drops)" \
	"TABLE CHAIN RULE FROM TO PROTO LEN DEVICES
filter FORWARD $(rule user 1) $client $server 17 38 r0 r1
filter FORWARD $(rule user 1) $client $server 17 38 r0 r1
filter FORWARD $(rule user 2) $client $server 17 38 r0 r1
filter FORWARD $(rule FORWARD policy) $client $server 17 38 r0 r1"

check "netns.bt" "$(said netns | sort)" \
	"$(sort <<-E
		@packets[$cookie, ACCEPT]: 7
		@packets[$cookie, DROP]: 4
		@packets[$server_cookie, ACCEPT]: 6
	E
	)"

check "ipt_rule: target and comment, read from the rule" "$(said ipt_rule)" \
	"TABLE CHAIN TARGET COMMENT
filter FORWARD DROP no echo
filter FORWARD DROP no echo
filter FORWARD REJECT no discard
filter FORWARD DROP"

perf trace --no-syscalls -ae iptables:ipt_verdict -o "$work/perf" \
	bash -c "ip netns exec client bash -c 'echo 123456789 >/dev/udp/$server/7'"
check "perf trace" \
	"$(sed -n 's/.*iptables:ipt_verdict(skbaddr: 0x[0-9a-f]*, \(.*\))$/\1/p' "$work/perf" |
		sed 's/[sd]addr: [^ ]* //g')" \
	"net_cookie: $cookie, table: \"filter\", in: \"r0\", out: \"r1\", rule: $(rule user 1), $(
	)len: 38, protocol: 17, hook: 2"

done_testing
