#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# iptverdict top and stats: their counts.
#
# needs CONFIG_RUST
# stock

# counted has an optional argument.
# shellcheck disable=SC2119
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"
# shellcheck source=tools/testing/guest/command/lib.sh
. "$REPO/tools/testing/guest/command/lib.sh"

make_hosts
drop_two_ports
modprobe iptverdict

# What stats counts is what the module counts. The module has no namespaces, and names nftables
# by the hook.
start stats stats
start rules stats --json --by netns,verdict,rule
start once top --once --interval 600
start sources top --json --by sources --interval 600
datagrams $server 7 7 8 19
datagrams $server6 8 19
in_net client ping -qc 3 -i 0.1 $server >/dev/null
settle
counted >"$work/counted"
stop stats
stop rules
stop once
stop sources
check "command: stats: as the module counts iptables" \
	"$(awk '$1 ~ /^ipv/ { print $1, $2, $3, $4, $5, $6 }' "$work/stats" | sort)" \
	"$(grep -v nftables "$work/counted" | sort)"
check "command: stats: as the module counts nftables" \
	"$(awk '$1 == "inet" { print $4; packets += $5; bytes += $6 } END { print packets, bytes }' "$work/stats" | xargs)" \
	"ACCEPT DROP $(awk '$2 == "nftables" { packets += $5; bytes += $6 } END { print packets, bytes }' "$work/counted")"
check "command: stats: packets and bytes by rule" \
	"$(shown rules netns verdict packets bytes rule | grep DROP | sort | tr '\t' ' ')" \
	"router DROP 2 76 #1 -A inner -p udp -m udp --dport 7 -j DROP
router DROP 2 96 first:1: udp dport 19 drop comment \"chargen\""
check "command: top: --once prints packets, bytes and rule" \
	"$(awk '/chargen/ { $1 = ""; print }' "$work/once" | xargs)" \
	"2 96 router inet guard first DROP first:1: udp dport 19 drop comment chargen"
check "command: top: --by sources counts by address" \
	"$(shown sources source netns | sort | sed -n "/^$client\t/p; /^$client6\t/p" | tr '\t' ' ')" \
	"$client router
$client6 router"
rmmod iptverdict
check_that "command: top: --interval ends it" timeout 60 "$COMMAND" top --once --interval 1

# All that the client can send.
start full top --json --interval 600
in_net client "$here/send.py" $server 7 10 --count 40000
settle
stop full
check "command: top: counts each of 40,000 drops" \
	"$(shown full netns verdict packets rule | sort | tr '\t' ' ')" \
	"router ACCEPT 40000 policy
router DROP 40000 #1 -A inner -p udp -m udp --dport 7 -j DROP"
check "command: top: does not say that it lost any" "$(sed 1d "$work/full.err")" ""

done_testing
