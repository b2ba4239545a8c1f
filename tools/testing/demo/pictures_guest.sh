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
# lines NAME N: succeeds if the terminal shows at least N lines.
lines() {
	(($(screen "$1" | grep -c .) >= $2))
}
# terminal NAME LINES: runs a subcommand in a terminal of 120 columns until the screen is full,
# and then for some seconds.
terminal() {
	tmux -L pictures new-session -d -s "$1" -x 120 -y "$2" "$COMMAND $1"
	wait_until lines "$1" "$3"
	sleep 3
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
			tcp dport { 22, 3389 } drop comment "no remote login"
			udp dport vmap { 53 : drop, 123 : drop }
		}
	}
X
# Each port has a rate of its own.
rate=40
for ports in 7001 7002 53,7003 7006,123; do
	in_net client "$selftests/send.py" $server $ports 10-90 --count 0 --rate $rate &
	rate=$((rate - 10))
done
while :; do
	for address in $server $server6; do
		for port in 22 23 25 3389; do
			in_net client timeout 0.1 bash -c ": <>/dev/tcp/$address/$port" 2>/dev/null || :
		done
	done
done &

terminal top 12 9
terminal watch 16 16
# shellcheck disable=SC2046 # one word for each job
kill $(jobs -p)
wait || :
