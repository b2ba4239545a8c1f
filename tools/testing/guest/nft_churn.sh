#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# nftables under traffic: a ruleset of 30,001 rules, rulesets that replace each other, chains that
# are renamed, devices and network namespaces that go away. CHURN: multiplies the numbers of
# repetitions.
#
# needs CONFIG_RUST
# stock, unless SHORT=1

# counted has an optional argument.
# shellcheck disable=SC2119
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

churn=${CHURN:-1}
# shellcheck disable=SC2034 # lib.sh uses them
event=nft_verdict event_system=nftables event_module=nf_tables
make_hosts
modprobe iptverdict
trace_on
files=$instance/events/nftables/nft_verdict
echo 0 >"$files/enable"

# count_on: starts counting, by the module and by a hist trigger, while there are no chains.
count_on() {
	echo 'hist:keys=pf,hook,verdict' >"$files/trigger"
	echo 1 >$debugfs/reset
}
# agree NAME: compares what the module and the hist trigger have counted.
agree() {
	local events packets
	events=$(sed -n 's/^{ .* hitcount: *\([0-9]*\)$/\1/p' "$files/hist" | awk '{ n += $1 } END { print n + 0 }')
	packets=$(awk '$2 == "nftables" { n += $5 } END { print n + 0 }' $debugfs/stats)
	echo '!hist:keys=pf,hook,verdict' >"$files/trigger"
	check "nft_churn: $1: module and event agree" "$packets" "$events"
	check_that "nft_churn: ${1#* }: under traffic" test "$packets" -gt 100
}
# base NAME: prints a base chain, up to its rules.
base() {
	echo "table inet t { chain $1 { type filter hook forward priority 0; policy accept;"
}

# Many rules: the last one decides.
{
	base forward
	for ((i = 0; i < 30000; i++)); do
		echo "udp dport 60000 accept"
	done
	printf '%s\n' 'udp dport 9 drop comment "last"' '}' '}'
} | in_net router nft -f -
last=$(in_net router nft -a list ruleset | sed -n 's/.*comment "last" # handle //p')
count_on
trace_on "verdict == 0"
datagrams $server 9 9 9
events 3
check "nft_churn: 30,001 rules: the handle of the last one" "$(trace | field handle | sort | uniq -c | xargs)" \
	"3 $last"
check "nft_churn: 30,001 rules: the module counts the drops of the last one" "$(counted)" "ipv4 nftables FORWARD DROP 3 114"
echo '!hist:keys=pf,hook,verdict' >"$files/trigger"
echo 0 >"$files/enable"
in_net router nft flush ruleset

# Replacements: the port of the rule is in its comment, so a wrong rule would be noticed.
flood_on 1000 1-10 0-99
count_on
trace_on "verdict == 0"
n=$((50 * churn))
: >"$work/rules"
for ((i = 0; i < n; i++)); do
	port=$((i % 10 + 1))
	{
		echo "table inet t"
		echo "flush table inet t"
		base forward
		printf '%s\n' "udp dport $port drop" '}' '}'
	} | in_net router nft --echo --handle -f - |
		sed -n "s/.* udp dport \([0-9]*\) drop # handle \([0-9]*\)$/\2 \1/p" >>"$work/rules"
done
flood_off
agree "$n rulesets that replace each other"
check_that "nft_churn: replacements: each rule has a handle of its own" \
	test "$(cut -d' ' -f1 "$work/rules" | sort -u | wc -l)" = $n
# Datagram i to the i-th of ten ports has the i-th of 100 lengths.
check "nft_churn: replacements: each event has the handle of a rule for its port" \
	"$(trace | columns handle len | awk '
		NR == FNR { port[$1] = $2; next }
		!($1 in port) || port[$1] != ($2 - 28) % 10 + 1 { print "wrong:", $0 }' "$work/rules" -)" ""
check_that "nft_churn: replacements: there are events" test "$(trace | wc -l)" -gt 10
echo 0 >"$files/enable"
in_net router nft flush ruleset

# Renamed chains.
printf '%s\n' "$(base one)" '}' '}' | in_net router nft -f -
flood_on 1000 1-10 0-99
trace_on "pf == 2"
n=$((20 * churn))
for ((i = 0; i < n; i++)); do
	in_net router nft rename chain inet t one "a-name-of-more-than-31-bytes-to-be-cut"
	in_net router nft rename chain inet t "a-name-of-more-than-31-bytes-to-be-cut" one
done
flood_off
check "nft_churn: $n renamed chains: each event has one of the names" \
	"$(trace | field chain | sort -u | xargs)" "a-name-of-more-than-31-bytes... one"
echo 0 >"$files/enable"
in_net router nft flush ruleset

# Devices: a chain of netdev goes away with its device.
count_on
n=$((10 * churn))
for ((i = 0; i < n; i++)); do
	ip link add gone0 type veth peer name gone1
	ip link set gone0 up
	ip link set gone1 up
	ip addr add 10.9.0.1/24 dev gone0
	nft -f - <<-'E'
		table netdev gone {
			chain in { type filter hook ingress device "gone1" priority 0; policy accept; }
			chain out { type filter hook egress device "gone0" priority 0; policy accept; }
		}
	E
	ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:01 dev gone0
	"$here/send.py" --count 0 --rate 2000 --ready "$work/flooding" 10.9.0.2 9 0-99 &
	pid=$!
	wait_until test -e "$work/flooding"
	rm "$work/flooding"
	ip link del gone0
	kill $pid
	wait $pid 2>/dev/null || :
	nft delete table netdev gone
done
agree "$n devices removed"

# Network namespaces.
count_on
n=$((10 * churn))
for ((i = 0; i < n; i++)); do
	ip netns add gone
	ip -n gone link set lo up
	in_net gone nft -f - <<-E
		table inet t { chain in { type filter hook input priority 0; policy accept; udp dport 7 drop; }; }
	E
	in_net gone "$here/send.py" --count 100 127.0.0.1 7-9 0-99
	ip netns del gone
done
agree "$n network namespaces removed"
rmmod iptverdict

done_testing
