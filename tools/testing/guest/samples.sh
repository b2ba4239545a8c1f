#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The output of the samples (samples/bpftrace/, samples/libbpf/) and of perf trace for known
# traffic.
#
# stock

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

make_hosts
in_net router iptables-legacy-restore <<'E'
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
# Load the filter table of the server, with policies ACCEPT.
ipt server -L -n >/dev/null

# rule HOST CHAIN NUMBER: prints the offset of a rule; NUMBER may be "policy".
rule() {
	awk -v c="$2" -v n="$3" '$2 == c && $3 == n { print $1 }' "$work/blob-$1"
}
for name in router server; do
	in_net $name "$here/ruleset.py" blob filter >"$work/blob-$name"
done
cookie=$(netns_cookie router)
netns=$(netns_inode router)
server_netns=$(netns_inode server)

# Start all samples at once: bpftrace takes seconds to start.
modprobe ip_tables
declare -A pids=()
scripts="verdicts rules drops netns"
! old_bpftrace || scripts=
for name in $scripts; do
	"$REPO/samples/bpftrace/$name.bt" >"$work/$name" 2>&1 &
	pids[$name]=$!
done
# ipt_rule is of type tp_btf.
if have_btf ip_tables "samples: ipt_rule"; then
	"$SAMPLES/ipt_rule" >"$work/ipt_rule" 2>&1 &
	pids[ipt_rule]=$!
fi

# A sample prints its first line once it is attached. In an instrumented kernel, that takes
# bpftrace minutes: wait as long as it runs.
for name in "${!pids[@]}"; do
	until grep -qE 'counting|TABLE' "$work/$name"; do
		kill -0 "${pids[$name]}" || {
			sed 's/^/# /' "$work/$name"
			exit 1
		}
		sleep 0.5
	done
done

# 3 pings and replies of 84 bytes; 4 datagrams of 38 bytes: a rule drops two, a rule rejects
# one with an ICMP error of 66 bytes, and the policy drops one.
in_net client ping -qc 3 -i 0.1 $server >/dev/null
datagrams $server 7 7 9 11
# printed NAME N: succeeds if the sample has printed at least N dropped packets.
printed() {
	(($(grep -c '^filter' "$work/$1") >= $2))
}
for name in ${scripts:+drops} ${pids[ipt_rule]+ipt_rule}; do
	wait_until printed "$name" 4 || :
done
if ((${#pids[@]})); then
	kill -INT "${pids[@]}"
	wait "${pids[@]}" || :
else
	settle
fi

# output NAME: prints the output of a sample, with single blanks.
output() {
	sed 's/  */ /g; s/ $//; /^Attach/d; /^$/d; /^counting/d' "$work/$1"
}

if [[ ${pids[ipt_rule]+1} ]]; then
	check "samples: ipt_rule: each dropped packet, with target and comment of the rule" \
		"$(output ipt_rule)" "$(printf '%s\n' "TABLE CHAIN TARGET COMMENT" \
			"filter FORWARD DROP no echo" "filter FORWARD DROP no echo" \
			"filter FORWARD REJECT no discard" "filter FORWARD DROP")"
fi

perf trace --no-syscalls -ae iptables:ipt_verdict -o "$work/perf" \
	nsenter --net=/run/netns/client bash -c "echo 123456789 >/dev/udp/$server/7"
check "samples: perf trace: every field but the addresses" \
	"$(sed -nE 's/.*iptables:ipt_verdict\((.*)\)$/\1/p' "$work/perf" |
		sed -E 's/[sd]addr: [^ ]* //g; s/(ruleset): [1-9][0-9]*/\1: N/; s/(skbaddr): 0x[0-9a-f]+/\1: PTR/')" \
	"net_cookie: $cookie, ruleset: N, skbaddr: PTR, netns: $netns, rule: $(rule router user 1), $(
	)len: 38, table: \"filter\", in: \"r0\", out: \"r1\", protocol: 17, hook: 2, pf: 2, $(
	)ctstate: 255"

[[ $scripts ]] || {
	ktap_test_skip "samples: scripts of bpftrace: this bpftrace is too old for them"
	done_testing
	exit
}
check "samples: verdicts.bt: packets and bytes by verdict" "$(output verdicts | sort)" \
	"@bytes[filter, FORWARD, ACCEPT]: 504
@bytes[filter, FORWARD, DROP]: 152
@bytes[filter, INPUT, ACCEPT]: 252
@bytes[filter, OUTPUT, ACCEPT]: 318
@packets[filter, FORWARD, ACCEPT]: 6
@packets[filter, FORWARD, DROP]: 4
@packets[filter, INPUT, ACCEPT]: 3
@packets[filter, OUTPUT, ACCEPT]: 4"

check "samples: rules.bt: packets by deciding rule" \
	"$(output rules | sed -nE '/^@/s/filter, [1-9][0-9]*,/filter, N,/p' | sort)" \
	"$(sort <<-E
		@packets[$netns, filter, N, $(rule router FORWARD 1)]: 6
		@packets[$netns, filter, N, $(rule router user 1)]: 2
		@packets[$netns, filter, N, $(rule router user 2)]: 1
		@packets[$netns, filter, N, $(rule router FORWARD policy)]: 1
		@packets[$netns, filter, N, $(rule router OUTPUT policy)]: 1
		@packets[$server_netns, filter, N, $(rule server INPUT policy)]: 3
		@packets[$server_netns, filter, N, $(rule server OUTPUT policy)]: 3
	E
	)"

check "samples: drops.bt: each dropped packet, with the offset of the rule" "$(output drops)" \
	"TABLE CHAIN RULE FROM TO PROTO LEN DEVICES
filter FORWARD $(rule router user 1) $client $server 17 38 r0 r1
filter FORWARD $(rule router user 1) $client $server 17 38 r0 r1
filter FORWARD $(rule router user 2) $client $server 17 38 r0 r1
filter FORWARD $(rule router FORWARD policy) $client $server 17 38 r0 r1"

check "samples: netns.bt: packets by network namespace" "$(output netns | sort)" \
	"$(sort <<-E
		@packets[$netns, ACCEPT]: 7
		@packets[$netns, DROP]: 4
		@packets[$server_netns, ACCEPT]: 6
	E
	)"

done_testing
