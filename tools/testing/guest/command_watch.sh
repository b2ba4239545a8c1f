#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# iptverdict watch: what it prints of a packet, filters, bad input, and more packets than its ring
# buffer holds.
#
# stock

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"
# shellcheck source=tools/testing/guest/command/lib.sh
. "$REPO/tools/testing/guest/command/lib.sh"

make_hosts
modprobe ip_tables
have_btf ip_tables "command: watch" || {
	done_testing
	exit
}

ipt router -N inner
ipt router -A inner -p udp --dport 7 -m comment --comment 'a "quoted" comment' -j DROP
ipt router -A FORWARD -p udp -j inner
ipt router -A FORWARD -p udp --dport 9 -j NFQUEUE --queue-num 4711 --queue-bypass
ipt router -P FORWARD DROP
in_net router nft -f - <<'X'
table inet guard {
	map ports {
		type inet_service : verdict
		elements = { 19 : drop }
	}
	chain early {
		type filter hook prerouting priority -500; policy accept;
		udp dport vmap @ports
		tcp dport 80 tcp flags syn drop comment "no web"
	}
}
X
cookie=$(netns_cookie router)
netns=$(netns_inode router)

start json watch --json --netns router --verdict drop,queue
start text watch
datagrams $server 7 8 9 19
datagrams $server6 19
# Ends before the SYN is sent again.
in_net client timeout 0.5 bash -c ": <>/dev/tcp/$server/80" || :
in_net client ping -qc 1 -W 0.5 $server >/dev/null || :
settle
stop json
stop text

# The server rejects port 9, and the router drops that.
check "command: watch: verdicts and rules, in their order" \
	"$(shown json family table chain verdict packet.destination_port by.rule.chain by.rule.number by.rule.text | tr '\t' ' ')" \
	"ipv4 filter FORWARD DROP 7 inner 1 -A inner -p udp -m udp --dport 7 -m comment --comment \"a \\\"quoted\\\" comment\" -j DROP
ipv4 filter FORWARD DROP 8 - - -
ipv4 filter FORWARD QUEUE 9 FORWARD 2 -A FORWARD -p udp -m udp --dport 9 -j NFQUEUE --queue-num 4711 --queue-bypass
ipv4 filter FORWARD DROP - - - -
inet guard early DROP 19 early 1 udp dport vmap @ports
inet guard early DROP 19 early 1 udp dport vmap @ports
inet guard early DROP 80 early 2 tcp dport 80 tcp flags syn drop comment \"no web\"
ipv4 filter FORWARD DROP - - - -"
check "command: watch: policy, queue and bypass" \
	"$(shown json by queue bypass | sed -n '2,3p' | sed 's/{.*}/rule/' | tr '\t' ' ')" \
	$'policy - -\nrule 4711 True'
check "command: watch: namespace, devices, length and addresses" \
	"$(shown json netns.name netns.inode netns.cookie in out len mark ctstate packet.protocol \
		packet.source packet.destination | sed -n 1p | tr '\t' ' ')" \
	"router $netns $cookie r0 r1 38 0 NONE udp $client $server"
check "command: watch: IPv6, TCP flags and ICMP type" \
	"$(shown json packet.source packet.tcp_flags packet.icmp_type hook | sed -n '6,$p' | tr '\t' ' ')" \
	"$client6 - - PREROUTING
$client SYN - PREROUTING
$client - 8 FORWARD"
check "command: watch: the handle of a rule of nftables" \
	"$(shown json by.rule.handle | sed -n 7p)" \
	"$(in_net router nft -a list chain inet guard early | sed -n 's/.*"no web" # handle //p')"
# No packet here has an errno.
check "command: watch: its JSON has the documented fields" \
	"$(comm -3 <(shown json) <(sed -n '/^## JSON of watch/,/^## /s/^| \(`[^|]*\)|.*/\1/p' \
		"$REPO/Documentation/command.md" | tr -d '` ' | tr , '\n' | sort) | xargs)" errno
check "command: watch: a line of text for each drop" \
	"$(sed -E 's/^[0-9:.]+ //; s/:[0-9]+ >/ >/; s/mac [0-9a-f:]+/mac MAC/' "$work/text" | sed -n '1p;4p')" \
	"DROP router ipv4 filter FORWARD udp $client > $server:7 r0>r1 mark 0x0 NONE len 38 mac MAC | #1 -A inner -p udp -m udp --dport 7 -m comment --comment \"a \\\"quoted\\\" comment\" -j DROP
DROP router inet guard early udp $client > $server:19 r0>- mark 0x0 NONE len 38 mac MAC | early:1: udp dport vmap @ports"
check "command: watch: its last line has the number of verdicts shown" "$(tail -n 1 "$work/json.err")" \
	"iptverdict: 8 verdicts shown, 0 lost"

# seconds_ago: prints how long ago the verdict was by its time of day.
seconds_ago() {
	echo $(($(date +%s) - $(date --date "$(shown clock time)" +%s)))
}
start clock watch --json
date --set '+1 hour' >/dev/null
datagrams $server 8
settle
stop clock
check_that "command: watch: follows a change of the system clock" test "$(seconds_ago)" -lt 60
date --set '-1 hour' >/dev/null

# All filters at once, with packets that pass them and packets that do not.
# filter NAME WANT ARGUMENT...: WANT are the ports of the drops that pass.
filters=() wants=()
filter() {
	start "filter${#filters[@]}" watch --json "${@:3}"
	filters+=("$1") wants+=("$2")
}
filter "table" "19 19" --table guard
filter "chain of iptables" "7 8 -" --chain FORWARD
filter "chain of nftables" "19 19" --chain early
filter "source" 7 --src $client --port 7
filter "source, another one" "" --src 10.0.1.3
filter "network" "7 8 19 -" --dst 10.0.2.0/24
filter "network of IPv6" 19 --dst fd00::/16
filter "protocol" - --proto icmp
filter "port" 8 --port 8
filter "input device" 8 --in r0 --port 8
filter "output device" "7 8 -" --out r1
filter "mark" 7 --mark 0x0/0xff --port 7
filter "mark, another one" "" --mark 1
filter "namespace" "" --netns client
filter "verdict" "" --verdict stolen
datagrams $server 7 8 19
datagrams $server6 7 19
in_net client ping -qc 1 -W 0.1 $server >/dev/null || :
settle
for i in "${!filters[@]}"; do
	stop "filter$i"
	check "command: filter: ${filters[i]}" "$(shown "filter$i" packet.destination_port | xargs)" "${wants[i]}"
done
start counted watch --json --all --count 1
datagrams $server 8
wait "${pids[counted]}"
check "command: watch: ends after --count verdicts" "$(wc -l <"$work/counted")" 1

# Bad input.
check_fails "command: watch: rejects an unknown verdict" \
	"^iptverdict: no verdict NONE: use DROP, ACCEPT" iptverdict watch --verdict none
check_fails "command: watch: rejects an incomplete address" "^iptverdict: 10.0.0: not an address" \
	iptverdict watch --src 10.0.0
check_fails "command: watch: rejects a prefix length of 33" "10.0.0.0/33: not an address, or a network" \
	iptverdict watch --dst 10.0.0.0/33
check_fails "command: watch: rejects addresses of two versions of IP" "^iptverdict: --src and --dst: one is an IPv4" \
	iptverdict watch --src 10.0.0.1 --dst fd00::1
check_fails "command: watch: rejects an unknown protocol" "^iptverdict: no protocol nope" \
	iptverdict watch --proto nope
check_fails "command: watch: rejects an unknown table" \
	"^iptverdict: no table nope: 'iptverdict doctor' lists the tables" \
	iptverdict watch --table nope
check_fails "command: watch: rejects an unknown network namespace" "^iptverdict: no network namespace nope" \
	iptverdict watch --netns nope
check_fails "command: watch: rejects the name of a device that is too long" "longer than 15 bytes" \
	iptverdict watch --in device-with-a-long-name
check_fails "command: top needs a terminal" "^iptverdict: top needs a terminal: use --once or --json" \
	iptverdict top
check_fails "command: watch: needs privilege" "^iptverdict: not permitted: run it as root" \
	setpriv --reuid=65534 --clear-groups --bounding-set=-all --inh-caps=-all "$COMMAND" watch
check_that "command: doctor: succeeds without privilege" \
	setpriv --reuid=65534 --clear-groups --bounding-set=-all --inh-caps=-all "$COMMAND" doctor
closed_pipe() {
	"$COMMAND" watch --all 2>"$work/pipe.err" | head -n 1
	! grep -q panicked "$work/pipe.err"
}
closed() {
	local i
	closed_pipe &
	for ((i = 0; i < 30; i++)); do
		datagrams $server 8 8
		sleep 0.2
		kill -0 $! 2>/dev/null || break
	done
	wait $!
}
check_that "command: watch: ends when its output is closed" closed

# More than the ring buffer holds, while the command does not run.
start load watch --json
kill -STOP "${pids[load]}"
in_net client "$here/send.py" $server 8 10 --count 40000
settle
kill -CONT "${pids[load]}"
most_printed() {
	(($(wc -l <"$work/load") > 20000))
}
wait_until most_printed
memory=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/${pids[load]}/status")
stop load
read -r shown lost < <(sed -n 's/^iptverdict: \([0-9]*\) verdicts shown, \([0-9]*\) lost/\1 \2/p' "$work/load.err")
echo "# of 40,000 drops $shown shown, $lost lost; $memory KiB of memory"
check "command: watch: each of 40,000 drops is shown or counted as lost" $((shown + lost)) 40000
check_that "command: watch: a full ring buffer loses drops, and more than 20,000 are shown" \
	test "$shown" -gt 20000 -a "$lost" -gt 1000
check "command: watch: prints as many lines as its last line says" "$(wc -l <"$work/load")" "$shown"
check_that "command: watch: less than 64 MiB of memory" test "$memory" -lt 65536

done_testing
