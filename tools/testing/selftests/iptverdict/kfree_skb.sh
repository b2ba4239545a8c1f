#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The address of the packet joins ipt_verdict and ip6t_verdict to kfree_skb: it finds the
# rule for each packet that is freed for the reason NETFILTER_DROP.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

make_hosts
# Comments name the rules.
in_net router iptables-legacy-restore <<'E'
*raw
:PREROUTING ACCEPT
-A PREROUTING -p udp --dport 1 -m comment --comment in-raw -j DROP
COMMIT
*mangle
:FORWARD ACCEPT
:user -
-A FORWARD -p udp --dport 2 -j user
-A user -p udp -m comment --comment in-user -j DROP
COMMIT
*filter
:FORWARD DROP
-A FORWARD -p udp --dport 3 -m comment --comment rejects -j REJECT
-A FORWARD -p 132 -m multiport --dports 9 -m comment --comment hotdrop -j ACCEPT
-A FORWARD -p udp --dport 5 -m comment --comment accepts -j ACCEPT
COMMIT
E
# In another table than those of IPv4, so that table and offset identify a rule.
ip6t router -t security -A FORWARD -p udp --dport 1 -m comment --comment ipv6 -j DROP
for table in raw mangle filter; do
	blob $table
done
blob security ipv6
in_net router nft -f - <<'E'
table ip after {
	chain forward {
		type filter hook forward priority filter + 1
		udp dport 5 drop
	}
}
E

# freed N: succeeds if at least N packets have been freed for the reason NETFILTER_DROP.
freed() {
	(($(grep -c 'kfree_skb: .* reason: NETFILTER_DROP' "$instance/trace") >= $1))
}
# fates: prints for each packet that was freed for this reason its last verdict and the
# comment of the rule, or its chain and number; then each DROP whose packet was not freed.
fates() {
	awk '
		NR == FNR { name[$1, $2] = $6 ? $6 : $3 " " $4; next }
		{
			split("", value)
			for (i = 1; i <= NF; i++)
				if (split($i, pair, "=") == 2)
					value[pair[1]] = pair[2]
			skb = value["skbaddr"]
		}
		/ ip6?t_verdict: / {
			last[skb] = value["verdict"] " " name[value["table"], value["rule"]]
		}
		/ kfree_skb: .* reason: NETFILTER_DROP/ {
			print skb in last ? last[skb] : "no verdict"
			delete last[skb]
		}
		END {
			for (skb in last)
				if (last[skb] ~ /^DROP/)
					print "not freed: " last[skb]
		}' "$work/blob" "$instance/trace" | sort | uniq -c | sort -n | sed "s,^ *,,"
}

modprobe ip6_tables
trace_on "net_cookie == $(netns_cookie router)"
echo 1 >"$instance/events/iptables/ip6t_verdict/enable"
echo 1 >"$instance/events/skb/kfree_skb/enable"
in_net client "$here/send.py" $server 1,2,2,3,3,3,4,4,4,4 10 --count 10
in_net client "$here/send.py" --protocol 132 $server 0 2,2,2,2,2
in_net client "$here/send.py" $server6 1 10 --count 6
in_net client "$here/send.py" $server 5 10 --count 7
wait_until freed 28 || :
settle
got=$(fates)
check "kfree_skb: each packet that iptables drops has its DROP and its rule" \
	"$(grep DROP <<<"$got")" \
	"1 DROP in-raw
2 DROP in-user
3 DROP rejects
4 DROP FORWARD policy
5 DROP hotdrop
6 DROP ipv6"
check "kfree_skb: a packet that nftables drops was accepted by iptables" \
	"$(grep -v DROP <<<"$got")" "7 ACCEPT accepts"

done_testing
