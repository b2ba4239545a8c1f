#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# iptverdict where rules cannot be read: what it says instead of a rule.
#
# needs CONFIG_RUST

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"
# shellcheck source=tools/testing/guest/command/lib.sh
. "$REPO/tools/testing/guest/command/lib.sh"

make_hosts
ipt router -A FORWARD -p udp --dport 7 -j DROP
ip6t router -A FORWARD -p udp --dport 7 -j DROP
in_net router nft -f - <<'X'
table inet guard {
	chain early {
		type filter hook prerouting priority -500; policy accept;
		udp dport 19 drop
	}
}
X

# reasons NAME: prints why the rules are unknown.
reasons() {
	shown "$1" by.unknown | sort -u
}

# with_path PATH NAME ARGUMENT...: start, with another PATH for the command.
with_path() {
	printf '#!/bin/bash\nPATH=%s exec %q "$@"\n' "$1" "$COMMAND" >"$work/$2.sh"
	chmod +x "$work/$2.sh"
	COMMAND=$work/$2.sh start "${@:2}"
}
mkdir "$work"/{hanging,few-programs}
for program in iptables-legacy-save nft; do
	printf '#!/bin/sh\necho $$ >>%q\nexec sleep 1000\n' "$work/hung" >"$work/hanging/$program"
	chmod +x "$work/hanging/$program"
done
ln -s "$(command -v timeout)" "$work/few-programs/"
with_path "$work/hanging:$PATH" hang watch --json
with_path "$work/few-programs" few watch --json
datagrams $server 7 19
datagrams $server6 7
settle
wait_until grep -q guard "$work/hang"
stop hang
stop few
check "command: reports save programs that hang" "$(reasons hang)" "-
iptables-legacy-save did not end within 10 seconds
nft did not end within 10 seconds"
check "command: reports save programs that are not installed" "$(reasons few)" \
	"ip6tables-save is not installed
iptables-save is not installed
nft is not installed"
# dead FILE: succeeds if the file has PIDs, all of them of processes that have ended.
dead() {
	local pid
	[[ -s $1 ]] || return 1
	while read -r pid; do
		[[ ! -d /proc/$pid ]] || return 1
	done <"$1"
}
check_that "command: kills a save program that hangs" dead "$work/hung"

# A namespace that is gone before the command has read its rules.
start gone watch --json
kill -STOP "${pids[gone]}"
unshare --net bash -c "ip link set lo up; iptables-legacy -A OUTPUT -p udp -j DROP
	echo 123456789 >/dev/udp/127.0.0.1/7" 2>/dev/null || :
kill -CONT "${pids[gone]}"
wait_until grep -q OUTPUT "$work/gone"
stop gone
check "command: reports rules of a network namespace that is gone" "$(reasons gone)" \
	"its network namespace is gone, or has neither a name nor a process"
check_that "command: names a network namespace that is gone by its inode number" \
	grep -qE '"netns":\{"name":"([0-9]+)","inode":\1,' "$work/gone"

# A rule of nftables that is deleted before it is read.
start deleted watch --json --table guard
kill -STOP "${pids[deleted]}"
datagrams $server 19
in_net router nft flush chain inet guard early
kill -CONT "${pids[deleted]}"
wait_until grep -q guard "$work/deleted"
stop deleted
check "command: reports a rule that was deleted before it was read" "$(reasons deleted)" \
	"nft does not list the rule: it may have been deleted"

# A namespace that gets the inode number of one that is gone.
# send NAME: sends a packet in a new namespace.
send() {
	in_net "$1" ip link set lo up
	in_net "$1" iptables-legacy -A OUTPUT -p udp -j ACCEPT
	in_net "$1" bash -c 'echo 123456789 >/dev/udp/127.0.0.1/7' 2>/dev/null || :
	sleep 1
}
reuse() {
	ip netns add second
	[[ $(netns_inode second) == "$inode" ]] || ! ip netns del second
}
start reused stats --by netns --proto udp
ip netns add first
inode=$(netns_inode first)
send first
ip netns del first
wait_until reuse
send second
stop reused
ip netns del second
check "command: stats: keeps apart namespaces that had the same inode number" \
	"$(awk '{ print $1 }' "$work/reused" | grep -xE 'first|second' | xargs)" "first second"

# Comments that look like rules, and names that control the terminal.
ipt router -F FORWARD
ipt router -A FORWARD -p udp --dport 6 -m comment --comment $'x\n-A FORWARD -j ACCEPT' -j ACCEPT
ipt router -A FORWARD -p udp --dport 7 -m comment --comment $'\e[2J' -j DROP
ipt router -t mangle -A FORWARD -p udp --dport 8 -m comment --comment $'\e[2J' -j DROP
start forged watch --json
start plain watch
datagrams $server 7 8
settle
stop forged
stop plain
check "command: a comment that looks like a rule: all rules of the chain are unknown" \
	"$(shown forged table by.unknown by.rule.number | tr '\t' ' ')" \
	"filter the save program does not print the rule -
mangle - 1"
check "command: an escape sequence in a comment is not printed" \
	"$(grep -c $'\e' "$work/plain"; grep -o '.u{1b}\[2J' "$work/plain")" $'0\n\\u{1b}[2J'
ipt router -t mangle -F

# A table that a process owns, as firewalld has it, is listed with the name of the program.
in_net router nft add rule inet guard early udp dport 19 drop
coproc OWNER { in_net router nft -i; }
echo "add table inet owned { flags owner; chain c { type filter hook prerouting priority -600; udp dport 20 drop; }; }" \
	>&"${OWNER[1]}"
owned() {
	in_net router nft list tables | grep -q owned
}
wait_until owned
start owned watch --json
datagrams $server 19 20
settle
stop owned
check "command: reads the rules of a table that a process owns" "$(shown owned table by.rule.text | tr '\t' ' ')" \
	$'guard udp dport 19 drop\nowned udp dport 20 drop'
kill "$OWNER_PID"

# What the kernel does not offer.
# shellcheck disable=SC2016 # sh expands them
without() {
	unshare --mount sh -c 'mount -t tmpfs none "$0" && exec "$@"' "$@"
}
check_fails "command: watch: reports a kernel without BTF" "^iptverdict: this kernel has no BTF" \
	without /sys/kernel/btf "$COMMAND" watch
# shellcheck disable=SC2016 # bash expands them
check_fails "command: stats: ends by SIGPIPE when its output is closed" "^141$" \
	bash -c '"$0" stats --seconds 1 2>/dev/null | true; echo "${PIPESTATUS[0]}"; exit 1' "$COMMAND"

done_testing
