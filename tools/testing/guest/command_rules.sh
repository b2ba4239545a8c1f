#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# iptverdict watch names the very line of the file that the rules were restored from; also while
# rulesets are replaced. REPLACEMENTS: how often (100).

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"
# shellcheck source=tools/testing/guest/command/lib.sh
. "$REPO/tools/testing/guest/command/lib.sh"

make_hosts
modprobe ip_tables
have_btf ip_tables "command: rules" || {
	done_testing
	exit
}

# The same 500 rules in three namespaces, for other ports.
ruleset OUTPUT 1000 >"$work/client.rules"
ruleset FORWARD 2000 >"$work/router.rules"
ruleset INPUT 3000 >"$work/server.rules"

# ARP. arptables-legacy-restore runs arptables for each line: only the router has 500 rules.
# arp_ruleset NETWORK STEP: prints a filter table for arptables-restore, as arptables-save prints it:
# in 20 chains, a rule for each STEPth of the addresses NETWORK.1.0 to NETWORK.10.49.
arp_ruleset() {
	local i
	printf '*filter\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n'
	printf ':chain%d -\n' {1..20}
	printf -- '-A INPUT -j chain%d \n' {1..20}
	for ((i = 0; i < 500; i += $2)); do
		echo "-A chain$((i % 20 + 1)) -j DROP -s $1.$((i / 50 + 1)).$((i % 50)) "
	done
}
# arp_restore: loads such files, in the background: it takes a minute.
arp_restore() {
	local name
	for name in $hosts; do
		case $name in
		client) arp_ruleset 10.7 10 ;;
		router) arp_ruleset 10.8 1 ;;
		server) arp_ruleset 10.9 10 ;;
		esac >"$work/$name.arp"
		in_net "$name" arptables-legacy-restore <"$work/$name.arp"
	done
}
# arptables is that of the alternatives.
cp -a /etc/alternatives "$work"
ln -sf /usr/sbin/arptables-legacy "$work/alternatives/arptables"
unshare --mount bash -c "$(declare -f arp_ruleset arp_restore in_net)
	mount --bind $work/alternatives /etc/alternatives && work=$work hosts='$hosts' arp_restore" &
arp_restored=$!

# traffic ADDRESS: sends to 50 ports of each ruleset.
traffic() {
	local first
	for first in 1000 2000 3000; do
		in_net client "$here/send.py" "$1" "$(seq -s, $first 10 $((first + 490)))" 10 --count 50 || :
	done
	settle
}
# named NAME: prints for each drop the port, the namespace and the text of the rule.
named() {
	shown "$1" packet.destination_port netns.name by.rule.text | sort -u
}
# wanted HOST...: prints the same, from the files.
wanted() {
	local name
	for name; do
		sed -n "s/^-A chain.* --dport \([0-9]*0\) .*/\1\t$name\t&/p" "$work/$name.rules"
	done | sort
}
for command in iptables-legacy ip6tables-legacy iptables-nft; do
	for name in $hosts; do
		in_net "$name" $command-restore <"$work/$name.rules"
	done
	[[ $command == ip6* ]] && to=$server6 || to=$server
	start many watch --json --proto udp
	traffic "$to"
	stop many
	check "command: $command-restore: prints 150 rules in three namespaces as they were restored" \
		"$(named many)" "$(wanted client router server)"
	check "command: $command-restore: chain and number of a rule" \
		"$(shown many packet.destination_port by.rule.chain by.rule.number | sort -u | sed -n 5p | tr '\t' ' ')" \
		"1040 chain1 3"
	for name in $hosts; do
		in_net "$name" $command -F
		in_net "$name" $command -X
	done
done

# nftables, with maps and jumps.
{
	echo "table inet many {"
	for ((i = 0; i < 500; i++)); do
		printf '\tchain port%d {\n\t\tmeta mark 0x%x drop comment "port %d"\n\t\tdrop comment "port %d"\n\t}\n' \
			$((2000 + i)) 99 $((2000 + i)) $((2000 + i))
	done
	printf '\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n\t\tudp dport vmap { '
	for ((i = 0; i < 500; i++)); do
		printf '%d : jump port%d, ' $((2000 + i)) $((2000 + i))
	done
	printf '}\n\t}\n}\n'
} >"$work/many.nft"
in_net router nft -f "$work/many.nft"
start many watch --json --proto udp
traffic $server
stop many
check "command: nftables: 50 drops through a map and jumps" \
	"$(shown many packet.destination_port by.rule.chain by.rule.number by.rule.text | sort -u | tr '\t' ' ')" \
	"$(for ((i = 2000; i < 2500; i += 10)); do echo "$i port$i 2 drop comment \"port $i\""; done)"
in_net router nft flush ruleset

# ARP: requests from an address of each rule's own. arptables-nft prints no blank at the end.
check_that "command: arptables-legacy-restore: succeeds" wait "$arp_restored"
for command in arptables-legacy arptables-nft; do
	if [[ $command == *-nft ]]; then
		for name in $hosts; do
			in_net "$name" arptables-legacy -F
			sed -i 's/ $//' "$work/$name.arp"
			in_net "$name" $command-restore <"$work/$name.arp"
		done
	fi
	start arp watch --json
	senders=$(echo 10.NETWORK.{1..10}.{0,10,20,30,40} | tr ' ' ,)
	in_net router "$here/arp.py" r0 "${senders//NETWORK/7}" $client 1
	in_net client "$here/arp.py" c0 "${senders//NETWORK/8}" $router 1
	in_net router "$here/arp.py" r1 "${senders//NETWORK/9}" $server 1
	settle
	stop arp
	check "command: $command-restore: prints 150 rules in three namespaces as they were restored" \
		"$(shown arp packet.source netns.name by.rule.text | sort -u)" \
		"$(for name in $hosts; do
			sed -n "s/^-A chain.* -s \(10[0-9.]*0\) *$/\1\t$name\t&/p" "$work/$name.arp"
		done | sort)"
	check "command: $command-restore: chain and number of a rule, and the operation" \
		"$(shown arp packet.source family table chain packet.arp_operation by.rule.chain by.rule.number |
			grep '^10.8.1.40' | tr '\t' ' ')" \
		"10.8.1.40 arp filter INPUT 1 chain1 3"
done

# Rulesets that are replaced under traffic. In each the rules stand in another order; the comment
# of a rule has the port that it matches.
# rotated FIRST: prints a ruleset that begins with the rule for port FIRST.
rotated() {
	local i port
	echo "*filter"
	for ((i = 0; i < 20; i++)); do
		port=$(($1 + i))
		((port < 1020)) || port=$((port - 20))
		echo "-A FORWARD -p udp -m udp --dport $port -m comment --comment \"port $port\" -j DROP"
	done
	echo COMMIT
}
for ((i = 0; i < 20; i++)); do
	rotated $((1000 + i)) >"$work/rotated.$i"
done
in_net router iptables-legacy-restore <"$work/rotated.0"
start replaced watch --json
flood_on 400 1000-1019 10
for ((i = 0; i < ${REPLACEMENTS:-100}; i++)); do
	in_net router iptables-legacy-restore <"$work/rotated.$((i % 20))"
	sleep 0.3
done
flood_off
stop replaced
# right, wrong or unknown, for each line.
shown replaced packet.destination_port by.rule.text by.unknown | awk -F'\t' '
	$2 == "-" { unknown++; reason[$3]++; next }
	index($2, "\"port " $1 "\"") { right++; next }
	{ wrong++; print "# wrong: " $0 > "/dev/stderr" }
	END { print right + 0, wrong + 0, unknown + 0; for (r in reason) print reason[r], r > "/dev/stderr" }
	' >"$work/counts" 2>"$work/reasons"
read -r right wrong unknown <"$work/counts"
echo "# ${REPLACEMENTS:-100} replacements: $right right, $wrong wrong, $unknown unknown"
sed 's/^/# /' "$work/reasons"
check "command: replacements: no wrong rule" "$wrong" 0
check_that "command: replacements: at least 99 % of the lines have a rule" \
	test $((100 * right)) -ge $((99 * (right + unknown))) -a "$right" -gt 0

done_testing
