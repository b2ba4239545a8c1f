#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# nft_verdict: its record; the verdict and the handle of the deciding rule, in all families and
# after every kind of statement that decides; BPF programs and the module.

# counted has an optional argument.
# shellcheck disable=SC2119
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2034 # lib.sh uses them
event=nft_verdict event_system=nftables event_module=nf_tables
make_hosts
trace_on
files=$instance/events/nftables/nft_verdict

check "nft_verdict: fields, types and sizes of the record" "$(fields)" "u64 net_cookie 8
u64 handle 8
const void * skbaddr 8
unsigned int netns 4
u32 mark 4
unsigned int len 4
char table[32] 32
char chain[32] 32
char in[16] 16
char out[16] 16
u8 saddr[16] 16
u8 daddr[16] 16
u16 queue 2
u16 errno 2
u8 protocol 1
u8 verdict 1
u8 family 1
u8 hook 1
u8 pf 1
u8 ctstate 1
bool bypass 1
bool policy 1"

# nft_load: loads a ruleset from standard input into the router.
nft_load() {
	in_net router nft -f -
	save_rules
}
# save_rules: writes family, table, handle and comment of each rule to $work/rules.
save_rules() {
	in_net router nft --json --handle list ruleset | python3 -c '
import json, sys
for item in json.load(sys.stdin)["nftables"]:
    rule = item.get("rule")
    if rule:
        print(rule["family"], rule["table"], rule["handle"], rule.get("comment", "-"))
' >"$work/rules"
}
# decided FIELD...: prints for each event of the trace these fields, and the comment of the
# deciding rule, or "policy".
decided() {
	trace | columns "$@" family table handle | awk '
		NR == FNR { name[$1, $2, $3] = $4; next }
		{ rule = $NF ? name[$(NF - 2), $(NF - 1), $NF] : "policy"
		  $(NF - 2) = rule; NF -= 2; print }' "$work/rules" -
}

nft_load <<'E'
table inet filter {
	set seen {
		type ipv4_addr . inet_service
		flags dynamic
		timeout 1m
	}
	chain inner {
		udp dport { 2, 7 } accept comment "in-inner"
	}
	chain outer {
		udp dport 2 jump inner
		udp dport 3 drop comment "in-outer"
		udp dport 9 return
	}
	chain mapped {
		udp dport 5 drop comment "in-mapped"
	}
	map ports {
		type inet_service : verdict
		elements = { 5 : jump mapped, 6 : drop, 7 : goto inner, 18 : goto inner }
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		udp dport 1 accept comment "direct"
		udp dport { 2-4, 9 } jump outer
		udp dport 4 reject comment "after-jump"
		udp dport vmap @ports comment "vmap"
		udp dport 10 queue num 4711 comment "queues"
		udp dport 11 queue flags bypass to 5 comment "bypass"
		udp dport 12 queue flags fanout to 7-8 comment "fanout"
		udp dport 13 update @seen { ip saddr . udp dport } comment "set"
		udp dport 13 drop comment "after-set"
		udp dport 14 meta mark set 0x17
		udp dport 14 accept comment "after-mark"
		udp dport 15 limit rate over 1/hour burst 1 packets drop comment "limit"
		udp dport 15 accept comment "after-limit"
		udp dport 16 return
		udp dport 19 reject with icmpx admin-prohibited comment "rejects"
		meta l4proto icmp accept comment "icmp"
	}
}
E
# udp PORT...: prints verdict and rule of a datagram from the client to each port of the server.
udp() {
	trace_on "family == 1 && hook == 2 && protocol == 17"
	datagrams "${to:-$server}" "$@"
	events $#
	decided verdict | paste -sd,
}
check "nft_verdict: rule in the base chain" "$(udp 1)" "ACCEPT direct"
check "nft_verdict: rule two jumps deep" "$(udp 2)" "ACCEPT in-inner"
check "nft_verdict: rule in a user chain" "$(udp 3)" "DROP in-outer"
check "nft_verdict: reject, after the end of a user chain" "$(udp 4)" "DROP after-jump"
check "nft_verdict: rule in a chain that a verdict map jumps to" "$(udp 5)" "DROP in-mapped"
check "nft_verdict: verdict of a verdict map" "$(udp 6)" "DROP vmap"
check "nft_verdict: rule in a chain that a verdict map goes to" "$(udp 7)" "ACCEPT in-inner"
check "nft_verdict: policy, if no rule matches" "$(udp 8)" "DROP policy"
check "nft_verdict: policy, after return from a user chain" "$(udp 9)" "DROP policy"
check "nft_verdict: policy, after return from the base chain" "$(udp 16)" "DROP policy"
check "nft_verdict: policy, after the end of a chain that goto entered" "$(udp 18)" "DROP policy"
check "nft_verdict: queue without bypass" \
	"$(udp 10) $(trace | columns queue bypass)" "QUEUE queues 4711 0"
check "nft_verdict: queue with bypass" \
	"$(udp 11) $(trace | columns queue bypass)" "QUEUE bypass 5 1"
check "nft_verdict: queue with fanout" \
	"$(udp 12) $(trace | columns queue bypass | sed 's/^[78] /7-8 /')" "QUEUE fanout 7-8 0"
check "nft_verdict: rule after an update of a set" "$(udp 13)" "DROP after-set"
check "nft_verdict: rule after a mark, which is recorded" \
	"$(udp 14) $(trace | field mark)" "ACCEPT after-mark 0x17"
check "nft_verdict: rule with a limit, and the one after it" \
	"$(udp 15 15 15)" "ACCEPT after-limit,DROP limit,DROP limit"
check "nft_verdict: reject with an ICMP error" "$(udp 19)" "DROP rejects"
check "nft_verdict: IPv6: rules of the same table" "$(to=$server6 udp 1 6 8)" \
	"ACCEPT direct,DROP vmap,DROP policy"

# Every field of one event.
cookie=$(netns_cookie router)
netns=$(netns_inode router)
# exact: prints the events of the trace, without the addresses of packets.
exact() {
	trace | sed -E 's/skbaddr=0* /skbaddr=NULL /; s/skbaddr=[0-9a-f]* /skbaddr=PTR /'
}
udp 3 >/dev/null
handle=$(sed -n 's/^inet filter \([0-9]*\) in-outer$/\1/p' "$work/rules")
fields="family=inet table=filter chain=forward hook=forward verdict=DROP queue=0 bypass=0 errno=0"
fields+=" policy=0 handle=$handle in=r0 out=r1 mark=0x0 ctstate=NONE skbaddr=PTR net_cookie=$cookie"
fields+=" netns=$netns pf=2 len=38 protocol=17 saddr=::ffff:$client daddr=::ffff:$server"
check "nft_verdict: every field, IPv4" "$(exact)" "$fields"
datagram=(nsenter --net=/run/netns/client bash -c "echo 123456789 >/dev/udp/$server/3")
perf record -qaBNe nftables:nft_verdict -o "$work/perf.data" -- "${datagram[@]}" \
	>"$work/perf" 2>&1 || :
check "nft_verdict: perf prints every field" \
	"$(perf script -i "$work/perf.data" -F trace 2>/dev/null |
		sed 's/skbaddr=[^ ]*/skbaddr=PTR/; s/ *$//')" "$fields"
trace-cmd record -q -e nftables:nft_verdict -o "$work/trace.dat" "${datagram[@]}" \
	>"$work/cmd" 2>&1 || :
check "nft_verdict: trace-cmd prints every field" \
	"$(trace-cmd report -i "$work/trace.dat" 2>&1 | sed -n 's/.* nft_verdict: *//p' |
		sed 's/skbaddr=[^ ]*/skbaddr=PTR/')" "$fields"
to=$server6 udp 8 >/dev/null
check "nft_verdict: every field, IPv6" "$(exact)" \
	"family=inet table=filter chain=forward hook=forward verdict=DROP queue=0 bypass=0 $(
	)errno=0 policy=1 handle=0 in=r0 out=r1 mark=0x0 ctstate=NONE skbaddr=PTR $(
	)net_cookie=$cookie netns=$netns pf=10 len=58 protocol=17 saddr=$client6 daddr=$server6"
check "nft_verdict: nft prints the rule with this handle" \
	"$(in_net router nft -a list table inet filter |
		sed -n "s/^\t*\(.*\) # handle $handle$/\1/p")" \
	'udp dport 3 drop comment "in-outer"'

# A handle stays with its rule, and is not used again.
in_net router nft insert rule inet filter outer udp dport 99 drop
check "nft_verdict: the handle stays when rules are inserted" \
	"$(udp 3 >/dev/null; trace | field handle)" "$handle"
in_net router nft delete rule inet filter outer handle "$handle"
in_net router nft add rule inet filter outer udp dport 3 drop comment \"again\"
save_rules
check "nft_verdict: a rule that is added again has another handle" "$(udp 3)" "DROP again"
check_that "nft_verdict: a rule that is added again has a higher handle" \
	test "$(trace | field handle)" -gt "$handle"

# Filters and hist triggers.
for filter in 'family == 1' 'table == "filter"' 'chain == "forward"' 'hook == 2' 'pf == 2' \
	'verdict == 0' 'queue == 0' 'errno == 0' 'bypass == 0' 'policy == 1' 'handle == 0' \
	'protocol == 17' 'len == 38' 'in == "r0"' 'out == "r1"' 'mark == 0' \
	'ctstate == 255' "net_cookie == $cookie" "netns == $netns" 'skbaddr != 0'; do
	trace_on "family == 1 && policy == 1 && $filter"
	datagrams $server 8
	events 1
	check "nft_verdict: filter: $filter" "$(decided verdict)" "DROP policy"
done
echo 'hist:keys=table,chain,policy if protocol == 17' >"$files/trigger"
trace_on "family == 1"
datagrams $server 8 8 1 1 1
events 5
check "nft_verdict: hist trigger by table and chain" \
	"$(sed -n '/^{ /{ s/[{},]//g; s/[a-z]*: *//g; p }' "$files/hist" | sort | xargs)" \
	"filter forward 0 3 filter forward 1 2"
echo '!hist:keys=table,chain,policy if protocol == 17' >"$files/trigger"

# SYNPROXY replies to the SYN itself and steals it.
nft_load <<'E'
table ip steal {
	chain prerouting {
		type filter hook prerouting priority raw; policy accept;
		tcp dport 80 tcp flags syn notrack
	}
	chain forward {
		type filter hook forward priority 0; policy accept;
		tcp dport 80 ct state invalid,untracked synproxy mss 1460 comment "synproxy"
	}
}
E
# Conntrack is there now.
in_net router sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0 net.ipv4.tcp_syncookies=1
trace_on "verdict == 2"
syn $server 80
events 1
check "nft_verdict: STOLEN: packet, length and addresses are 0" \
	"$(exact | head -n 1 | sed 's/handle=[1-9][0-9]*/handle=N/')" \
	"family=ip table=steal chain=forward hook=forward verdict=STOLEN queue=0 bypass=0 $(
	)errno=0 policy=0 handle=N in=r0 out=r1 mark=0x0 ctstate=NONE skbaddr=NULL $(
	)net_cookie=$cookie netns=$netns pf=2 len=0 protocol=0 saddr=:: daddr=::"
check "nft_verdict: STOLEN: the rule" "$(decided verdict | head -n 1)" "STOLEN synproxy"
in_net router nft delete table ip steal

# The same names in another family: only the family tells the tables apart.
nft_load <<'E'
table ip filter {
	chain forward {
		type filter hook forward priority -1; policy accept;
		udp dport 21 accept comment "ip-accepts"
	}
}
E
trace_on "table == 'filter' && hook == 2 && protocol == 17"
datagrams $server 21
events 2
check "nft_verdict: two tables of the same name" "$(decided family verdict)" \
	$'ip ACCEPT ip-accepts\ninet DROP policy'
in_net router nft delete table ip filter

# Families that are not IP.
nft_load <<'E'
table arp arptable {
	chain input {
		type filter hook input priority 0; policy accept;
		arp operation request counter accept comment "request"
	}
}
table netdev dev {
	chain in {
		type filter hook ingress device "r0" priority 0; policy accept;
		udp dport 31 drop comment "ingress"
	}
	chain out {
		type filter hook egress device "r1" priority 0; policy accept;
		udp dport 1 drop comment "egress"
	}
}
table inet dev2 {
	chain in {
		type filter hook ingress device "r0" priority 10; policy accept;
		udp dport 32 drop comment "inet-ingress"
	}
}
E
# Hosts also send requests of their own, and replies to them.
trace_on "family == 3 && policy == 0"
in_net client "$here/arp.py" c0 $client $router 1
events 1
check "nft_verdict: table of the family arp" \
	"$(decided family hook pf verdict | head -n 1)" \
	"arp input 3 ACCEPT request"
trace_on "verdict == 0 && (family == 5 || (family == 1 && hook == 5))"
datagrams $server 31 32 1
events 3
check "nft_verdict: chains of the family netdev at ingress and egress" \
	"$(decided family table hook pf in out len verdict)" \
	"netdev dev ingress 5 r0 38 DROP ingress
inet dev2 ingress 2 r0 38 DROP inet-ingress
netdev dev egress 5 r1 52 DROP egress"
for table in "arp arptable" "netdev dev" "inet dev2"; do
	# shellcheck disable=SC2086 # two words
	in_net router nft delete table $table
done

# Names of more than 31 bytes.
long=$(printf 'n%.0s' {1..28})
nft_load <<E
table ip $long-31 {
	chain $long-32x {
		type filter hook forward priority -1; policy accept;
	}
}
table ip $long-table-of-more-than-128-bytes-$long-$long-$long-$long {
	chain $long-chain {
		type filter hook forward priority -1; policy accept;
	}
}
E
trace_on "policy == 1 && pf == 2 && hook == 2 && family == 2"
datagrams $server 1
events 2
check "nft_verdict: long names end with three dots" "$(trace | columns table chain | sort -u)" \
	"$long-31 $long...
$long... $long..."
in_net router nft flush ruleset

# iptables-nft. Its table has no comments that nft prints.
in_net router iptables-nft -A FORWARD -p udp --dport 2 -m comment --comment second -j DROP
in_net router iptables-nft -A FORWARD -p udp -m string --algo bm --string 123 -j ACCEPT
in_net router iptables-nft -P FORWARD DROP
trace_on "family == 2 && hook == 2 && protocol == 17"
datagrams $server 1 2
events 2
check "nft_verdict: rules of iptables-nft" "$(trace | columns table chain verdict policy)" \
	$'filter FORWARD ACCEPT 0\nfilter FORWARD DROP 0'
check "nft_verdict: handles of iptables-nft's rules" "$(trace | field handle | xargs)" \
	"$(in_net router nft -a list chain ip filter FORWARD 2>/dev/null |
		sed -n 's/.* # handle \([0-9]*\)$/\1/p' | tail -n 2 | tac | xargs)"
in_net router nft flush ruleset

# BPF programs and the module.
nft_load <<'E'
table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		udp dport 9 drop
		meta l4proto icmp accept
	}
}
E
coproc LOADER {
	"$here/bpf_verdict" nf_tables "$here/nft_verdict.bpf.o" raw_counts btf_counts \
		2>"$work/loader"
}
pid=$LOADER_PID
read -r state <&"${LOADER[0]}" || state=$(cat "$work/loader")
check "nft_verdict: libbpf attaches the programs" "$state" attached
! have_module "nft_verdict: rows of the module" || modprobe iptverdict
datagrams $server 9 9 9 10
in_net client ping -qc 3 -i 0.1 $server >/dev/null
settle
exec {in}<&"${LOADER[0]}"
eval "exec ${LOADER[1]}>&-"
got=$(cat <&"$in")
wait "$pid" || :
check "nft_verdict: counts of raw_tp" "$(grep raw_counts <<<"$got")" \
	$'raw_counts 0 4 152 1\nraw_counts 1 6 504 0'
! have_btf nf_tables "nft_verdict: counts of tp_btf" ||
	check "nft_verdict: counts of tp_btf" "$(grep btf_counts <<<"$got")" \
		$'btf_counts 0 4 152 1\nbtf_counts 1 6 504 0'
if [[ -d $debugfs ]]; then
	check "nft_verdict: rows of the module" "$(counted)" \
		$'ipv4 nftables FORWARD DROP 4 152\nipv4 nftables FORWARD ACCEPT 6 504'
	rmmod iptverdict
fi

done_testing
