#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# arpt_verdict for a packet that is too short for its header, while the ruleset is replaced. Only a
# bridge passes such a packet to arp_tables: a host drops it before its hook.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

# shellcheck disable=SC2034 # lib.sh uses them
event=arpt_verdict event_module=arp_tables
make_hosts
modprobe br_netfilter
in_net router arptables-legacy -A FORWARD -j DROP
cookie=$(netns_cookie router) netns=$(netns_inode router)

# short N LENGTH: the client sends N requests, cut off at LENGTH.
short() {
	in_net client "$here/arp.py" c0 $client $server "$1" --length "$2"
}

trace_on "net_cookie == $cookie"
short 1 27
settle
check "short ARP packet: no event at a host" "$(trace)" ""

ip -n router -batch - <<-E
	link add br0 type bridge
	link set br0 up
	link set r0 master br0
	link set r1 master br0
E
in_net router sysctl -qw net.bridge.bridge-nf-call-arptables=1
# The ports of the bridge forward at once, as it does not use STP.
trace_on "net_cookie == $cookie && hook == 2"
for length in 8 27 28; do
	short 1 $length
done
events 3
check "short ARP packet: every field; the rule is unknown" "$(any_rule | head -n 1)" \
	"table=filter hook=FORWARD verdict=DROP queue=0 bypass=0 errno=0 policy=0 rule=-1 ruleset=N $(
	)in=r0 out=r1 mark=0x0 ctstate=NONE skbaddr=PTR net_cookie=$cookie netns=$netns pf=3 len=8 $(
	)op=0 saddr=0.0.0.0 daddr=0.0.0.0"
check "short ARP packet: 27 bytes are too short, 28 are not" \
	"$(any_rule | columns len rule op daddr | sed 1d)" "27 -1 0 0.0.0.0
28 N 1 $server"

# The event reads the ruleset: an instrumented kernel would report a freed one.
files=$instance/events/iptables/arpt_verdict
# At most three keys; a sum of 0 says that no event had policy=1.
keys=hist:keys=ruleset,verdict,rule:values=policy
echo "$keys if net_cookie == $cookie && hook == 2" >"$files/trigger"
nsenter --net=/run/netns/client "$here/arp.py" c0 $client $server 1000000000 --length 8 &
sender=$!
for ((i = 0; i < 100; i++)); do
	in_net router arptables-legacy -A FORWARD -s 192.0.2.1 -j DROP
	in_net router arptables-legacy -D FORWARD -s 192.0.2.1 -j DROP
done
kill $sender
wait $sender || :
settle
# Each line is one ruleset.
sed -n 's/^{ ruleset: *[0-9]*, \(.*\) } hitcount: *[0-9]* */\1, /p' "$files/hist" | tr -s ' ' >"$work/rulesets"
check "short ARP packet: 200 ruleset replacements: no event names a rule" \
	"$(sort -u "$work/rulesets")" "verdict: 0, rule: 18446744073709551615, policy: 0"
check_that "short ARP packet: 200 ruleset replacements: events of $(wc -l <"$work/rulesets") rulesets" \
	test "$(wc -l <"$work/rulesets")" -ge 20
echo "!$keys if net_cookie == $cookie && hook == 2" >"$files/trigger"

done_testing
