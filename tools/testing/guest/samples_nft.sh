#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The output of the samples for nftables (samples/bpftrace/nft_*.bt) for known traffic.
#
# stock

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

if old_bpftrace; then
	ktap_test_skip "samples: scripts for nftables: this bpftrace is too old for them"
	done_testing
	exit
fi

make_hosts
in_net router nft -f - <<'E'
table inet filter {
	chain user {
		udp dport 7 drop comment "no echo"
		udp dport 9 reject comment "no discard"
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		meta l4proto { icmp, icmpv6 } accept comment "pings may pass"
		meta l4proto udp jump user
	}
}
E
# handle COMMENT: prints the handle of the rule with this comment.
handle() {
	in_net router nft -a list ruleset | sed -n "s/.* comment \"$1\" # handle \([0-9]*\)$/\1/p"
}
netns=$(netns_inode router)

modprobe nf_tables
declare -A pids=()
for name in drops rules; do
	"$REPO/samples/bpftrace/nft_$name.bt" >"$work/$name" 2>&1 &
	pids[$name]=$!
done
# A sample prints its first line once it is attached, which can take minutes in an instrumented
# kernel: wait as long as it runs.
for name in "${!pids[@]}"; do
	until grep -qE 'counting|TABLE' "$work/$name"; do
		kill -0 "${pids[$name]}" || {
			sed 's/^/# /' "$work/$name"
			exit 1
		}
		sleep 0.5
	done
done

in_net client ping -qc 3 -i 0.1 $server >/dev/null
in_net client ping -6 -qc 1 $server6 >/dev/null
datagrams $server 7 7 9 11
datagrams $server6 7
# printed N: succeeds if nft_drops.bt has printed at least N packets.
printed() {
	(($(grep -c '^inet' "$work/drops") >= $1))
}
wait_until printed 5 || :
kill -INT "${pids[@]}"
wait "${pids[@]}" || :

# output NAME: prints the output of a sample, with single blanks.
output() {
	sed 's/  */ /g; s/ $//; /^Attach/d; /^$/d; /^counting/d' "$work/$1"
}
echo=$(handle "no echo") discard=$(handle "no discard")
check "samples: nft_drops.bt: each dropped packet, with the handle of the rule" "$(output drops)" \
	"FAMILY TABLE CHAIN HANDLE FROM TO PROTO LEN DEVICES
inet filter forward $echo ::ffff:$client ::ffff:$server 17 38 r0 r1
inet filter forward $echo ::ffff:$client ::ffff:$server 17 38 r0 r1
inet filter forward $discard ::ffff:$client ::ffff:$server 17 38 r0 r1
inet filter forward 0 ::ffff:$client ::ffff:$server 17 38 r0 r1
inet filter forward $echo $client6 $server6 17 58 r0 r1"
check "samples: nft_rules.bt: packets by deciding rule" "$(output rules | grep '^@' | sort)" \
	"$(sort <<-E
		@packets[$netns, inet, filter, $(handle "pings may pass")]: 8
		@packets[$netns, inet, filter, $echo]: 3
		@packets[$netns, inet, filter, $discard]: 1
		@packets[$netns, inet, filter, 0]: 1
	E
	)"

done_testing
