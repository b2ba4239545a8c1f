# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Runs the command in the background. Sourced after the lib.sh of the selftests.
#
# shellcheck disable=SC2154 # lib.sh sets work

# iptverdict ARGUMENT...: the command.
iptverdict() {
	"$COMMAND" "$@"
}

# start NAME ARGUMENT...: starts the command in the background, and waits until it is attached.
# Its output goes to $work/NAME and $work/NAME.err.
declare -A pids=()
start() {
	local name=$1
	shift
	"$COMMAND" "$@" >"$work/$name" 2>"$work/$name.err" &
	pids[$name]=$!
	wait_until grep -qE '^iptverdict: (watching|counting)' "$work/$name.err"
}

# stop NAME [SIGNAL]: ends it, and waits until it has printed all.
stop() {
	kill -"${2:-INT}" "${pids[$1]}"
	wait "${pids[$1]}" || :
}

# shown NAME FIELD...: prints fields of the JSON that it printed.
shown() {
	local name=$1
	shift
	"$REPO/tools/testing/guest/command/fields.py" "$@" <"$work/$name"
}

# drop_two_ports: the router drops UDP to port 7 by a rule of iptables, to port 19 by one of nftables.
drop_two_ports() {
	ipt router -N inner
	ipt router -A inner -p udp --dport 7 -j DROP
	ipt router -A FORWARD -p udp -j inner
	in_net router nft -f - <<'X'
table inet guard {
	chain first {
		type filter hook forward priority -500; policy accept;
		udp dport 19 drop comment "chargen"
	}
}
X
}

# ruleset CHAIN FIRST: prints a filter table for iptables-restore, as iptables-save prints it: 500
# rules in 20 chains, each of which drops UDP to a port of its own, from FIRST on.
ruleset() {
	local i
	echo "*filter"
	printf ':%s ACCEPT [0:0]\n' INPUT FORWARD OUTPUT
	printf ':chain%d - [0:0]\n' {1..20}
	printf -- "-A $1 -p udp -j chain%d\n" {1..20}
	for ((i = 0; i < 500; i++)); do
		echo "-A chain$((i % 20 + 1)) -p udp -m udp --dport $(($2 + i)) -m comment --comment \"port $(($2 + i))\" -j DROP"
	done
	echo COMMIT
}
