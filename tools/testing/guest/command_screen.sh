#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# iptverdict top and watch in a terminal, which is tmux.

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"
# shellcheck source=tools/testing/guest/command/lib.sh
. "$REPO/tools/testing/guest/command/lib.sh"

make_hosts
drop_two_ports
modprobe ip_tables
have_btf ip_tables "command: screen" || {
	done_testing
	exit
}

# screen: prints what the terminal shows.
screen() {
	tmux -L test capture-pane -p -t top
}
on_screen() {
	screen | grep -qE -- "$1"
}
# terminal COLUMNS LINES ARGUMENT...: runs top in a terminal, in a shell that goes on after it.
terminal() {
	local columns=$1 lines=$2
	shift 2
	tmux -L test kill-server 2>/dev/null || :
	tmux -L test new-session -d -s top -x "$columns" -y "$lines" "env PS1='\$ ' bash --norc"
	tmux -L test send-keys -t top "$COMMAND top $*; echo status \$?" Enter
	wait_until on_screen "quit|^iptv"
}
terminal 100 20
flood_on 200 7,7,7,19 10
# Each rule is known once its ruleset has been read.
wait_until on_screen "dport 7 "
wait_until on_screen "dport 19"
check_that "command: top: the rules in its columns" on_screen \
	"^[0-9.]+ +[0-9]+ +router +ipv4 +filter +FORWARD +DROP +#1 -A inner -p udp"
order() {
	screen | sed -n 's/.*\(dport [0-9]*\).*/\1/p' | xargs
}
check "command: top: the rule with most packets is first" "$(order)" "dport 7 dport 19"
tmux -L test send-keys -t top s
wait_until on_screen "by packets$"
check_that "command: top: s sorts by another column" on_screen "^iptverdict top: by packets$"
tmux -L test send-keys -t top p
wait_until on_screen paused
before=$(screen)
sleep 2.5
check "command: top: p pauses" "$(screen)" "$before"
tmux -L test send-keys -t top p / charg Enter
wait_until on_screen "^ *q quit"
check "command: top: / shows rows that contain a text" "$(order)" "dport 19"
tmux -L test send-keys -t top q
wait_until on_screen "status 0"
check_that "command: top: q ends it, and the terminal is as before" on_screen "^\\$ .*top.*status"

terminal 100 20
# The child of the shell in the terminal.
kill -TERM "$(pgrep -P "$(tmux -L test display-message -pt top '#{pane_pid}')")"
wait_until on_screen "^status"
check_that "command: top: SIGTERM: the terminal is as before" on_screen "^status 0"
terminal 20 8
wait_until on_screen "^iptverdict top: by"
check_that "command: top: a terminal of 20 columns" on_screen "^q quit  s sort  p pa"

# A terminal of 100 columns shows a line of watch in one line, if the rule is not long.
tmux -L test kill-server
tmux -L test new-session -d -s top -x 100 -y 20 "NO_COLOR=1 $COMMAND watch -n 1 --port 19; sleep 60"
wait_until on_screen " shown, "
check "command: watch: a line in a terminal of 100 columns" \
	"$(tmux -L test capture-pane -pJ -t top |
		sed -n 's/ *$//; s/^[0-9]*:[0-9]*:[0-9]* \(.*\):[0-9]* > /\1 > /p')" \
	"DROP router inet guard first udp $client > $server:19 | first:1: udp dport 19 drop comment \"chargen\""
flood_off
tmux -L test kill-server

done_testing
