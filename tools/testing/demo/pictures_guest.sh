#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# pictures_guest.sh DIR: runs iptverdict watch and top in terminals while a router drops packets by
# rules of iptables-legacy and of nftables. Writes their screens, with colours, to DIR/watch and
# DIR/top.

set -euo pipefail

here=$(dirname "$(realpath "$0")")
selftests=$here/../selftests/iptverdict
# shellcheck source=tools/testing/selftests/iptverdict/hosts.sh
. "$selftests/hosts.sh"

# screen NAME: prints what the terminal shows.
screen() {
	tmux -L pictures capture-pane -ep -t "$1"
}
# filled NAME LINES: succeeds if the terminal shows at least so many lines.
filled() {
	(($(screen "$1" | grep -c .) >= $2))
}
# terminal NAME LINES FILLED COMMAND: runs a command in a terminal of 132 columns, until it shows
# FILLED lines and some seconds longer.
terminal() {
	tmux -L pictures new-session -d -s "$1" -x 132 -y "$2" "$4"
	wait_until filled "$1" "$3"
	sleep 5
	screen "$1" >"$out/$1"
	tmux -L pictures kill-session -t "$1"
}

out=$1
make_hosts
in_net router iptables-legacy-restore "$here/ruleset"
in_net router ip6tables-legacy-restore "$here/ruleset6"
in_net router nft -f - <<-'X'
	table inet guard {
		chain forward {
			type filter hook forward priority -200; policy accept;
			tcp dport 22 drop comment "no login"
			udp dport vmap { 53 : drop, 123 : drop }
		}
	}
X
# A packet for each rule at a time.
while :; do
	for port in 53 7001 7002 7003 7006 123; do
		datagrams $server $port
		sleep 0.1
	done
	for address in $server $server6; do
		for port in 22 23 25; do
			in_net client timeout 0.1 bash -c ": <>/dev/tcp/$address/$port" 2>/dev/null || :
		done
	done
done &
terminal watch 16 15 "$COMMAND watch"

# Each port has a rate of its own.
rate=10
for port in 53 7006 7001 7003; do
	nsenter --net=/run/netns/client "$selftests/send.py" $server $port 10-90 --count 0 --rate $rate &
	rate=$((rate + 10))
done
terminal top 12 10 "$COMMAND top --verdict drop"
# shellcheck disable=SC2046 # one word for each job
kill $(jobs -p)
wait || :
