#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Many network namespaces at once, each with a table of its own. NETS: how many.
#
# needs CONFIG_RUST

# shellcheck source=tools/env.sh
. "$(dirname "$(realpath "$0")")/../../env.sh"
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

nets=${NETS:-20}
# in_net N COMMAND...: not by "ip netns exec", which mounts sysfs each time.
in_net() {
	nsenter --net="/run/netns/net$1" "${@:2}"
}
modprobe iptverdict
for ((i = 0; i < nets; i++)); do
	ip netns add "net$i"
	ip -n "net$i" link set lo up
	in_net "$i" iptables-legacy -A INPUT -p icmp -j ACCEPT
done
echo 1 >$debugfs/reset
trace_on "table == 'filter' && hook == 1"
for ((i = 0; i < nets; i++)); do
	in_net "$i" ping -qc 1 127.0.0.1 >/dev/null
done
check "$nets network namespaces: all are counted" \
	"$(grep INPUT $debugfs/stats)" "ipv4 filter INPUT ACCEPT $((2 * nets)) $((2 * nets * 84))"
check "and told apart" "$(trace | field net_cookie | sort | uniq -c | awk '{ print $1 }' | uniq -c | xargs)" "$nets 2"
trace_off
# Half of them go while the module does.
for ((i = 0; i < nets; i += 2)); do
	ip netns del "net$i"
done
rmmod iptverdict
for ((i = 1; i < nets; i += 2)); do
	ip netns del "net$i"
done

done_testing
