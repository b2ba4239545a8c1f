# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the tests of ipt_verdict and iptverdict share: the trace of the event,
# and KTAP.

set -euo pipefail

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=/dev/null
. "$here/../kselftest/ktap_helpers.sh"
# shellcheck source=tools/testing/selftests/iptverdict/hosts.sh
. "$here/hosts.sh"

tracefs=/sys/kernel/tracing
instance=$tracefs/instances/iptverdict
# shellcheck disable=SC2034 # it is the tests that use it
debugfs=/sys/kernel/debug/iptverdict
work=$(mktemp -d)

cleanup() {
	trace_off
	remove_hosts
	rm -rf "$work"
}

# The event that is recorded, and the module that it is in.
event=ipt_verdict
event_module=ip_tables

# trace_on [FILTER]: starts recording the event.
trace_on() {
	modprobe $event_module
	mkdir -p "$instance"
	echo 0 >"$instance/events/iptables/$event/enable"
	echo "${1:-0}" >"$instance/events/iptables/$event/filter"
	echo >"$instance/trace"
	echo 1 >"$instance/events/iptables/$event/enable"
}

# trace: the recorded events, one a line, from "table=" on.
trace() {
	sed -n "s/.* $event: //p" "$instance/trace"
}

# fields: type, name and size of the fields of the event, in the order of the
# record; common fields left out.
fields() {
	sed -n '/common_/d; s/^\tfield:\(.*\);\toffset:[0-9]*;\tsize:\([0-9]*\);.*/\1 \2/p' \
		"$instance/events/iptables/$event/format"
}

# record SIZE FIELD: what fields says of an event whose addresses have SIZE bytes,
# and that has FIELD of the header of the packet.
record() {
	echo "const void * skbaddr 8
u64 net_cookie 8
char table[16] 16
char in[16] 16
char out[16] 16
unsigned int verdict 4
int rule 4
unsigned int len 4
u8 saddr[$1] $1
u8 daddr[$1] $1
$2
u8 hook 1
bool policy 1"
}

# What a packet that the router forwards sees where all tables are there, and its
# reply, which nat does not see.
# shellcheck disable=SC2034 # it is the tests that use it
through_and_back="raw PREROUTING ACCEPT
mangle PREROUTING ACCEPT
nat PREROUTING ACCEPT
mangle FORWARD ACCEPT
filter FORWARD ACCEPT
security FORWARD ACCEPT
mangle POSTROUTING ACCEPT
nat POSTROUTING ACCEPT
raw PREROUTING ACCEPT
mangle PREROUTING ACCEPT
mangle FORWARD ACCEPT
filter FORWARD ACCEPT
security FORWARD ACCEPT
mangle POSTROUTING ACCEPT"

# name_of OFFSET: the comment of the entry, or its chain and place, by what
# "ruleset.py blob" has written to $work/blob.
name_of() {
	awk -v o="$1" '$1 == o { print $5 ? $5 : $2 " " $3 }' "$work/blob"
}

# decided_by: of each event in the trace, verdict and rule, as the blob names it.
decided_by() {
	local line
	trace | while read -r line; do
		echo "$(field verdict <<<"$line") $(name_of "$(field rule <<<"$line")")"
	done
}

# any_rule: the events of the trace, without the numbers that differ from run to run.
any_rule() {
	trace | sed 's/skbaddr=0* /skbaddr=NULL /; s/skbaddr=[0-9a-f]* /skbaddr=PTR /
		s/rule=[0-9]*/rule=N/'
}

trace_off() {
	[[ ! -d $instance ]] || rmdir "$instance"
}

# field NAME: that field of each event on the standard input.
field() {
	sed -n "s/.*\<$1=\([^ ]*\).*/\1/p"
}

# columns NAME...: those fields, of each event on the standard input.
columns() {
	local line name row
	while read -r line; do
		row=()
		for name; do
			row+=("$(field "$name" <<<"$line")")
		done
		echo "${row[*]}"
	done
}

# netns_cookie HOST: what tells its network namespace from others (SO_NETNS_COOKIE).
netns_cookie() {
	host "$1" python3 -c 'import socket, sys
cookie = socket.socket().getsockopt(socket.SOL_SOCKET, 71, 8)
print(int.from_bytes(cookie, sys.byteorder))'
}

# as_integer ADDRESS: as filters compare it, in the byte order of the CPU.
as_integer() {
	python3 -c 'import socket, sys
print(int.from_bytes(socket.inet_aton(sys.argv[1]), sys.byteorder))' "$1"
}

# check NAME GOT WANT: a test that passes if they are equal.
check() {
	if [[ $2 == "$3" ]]; then
		ktap_test_pass "$1"
	else
		ktap_test_fail "$1"
		echo "# got:  ${2//$'\n'/$'\n'#       }"
		echo "# want: ${3//$'\n'/$'\n'#       }"
	fi
}

# check_that NAME COMMAND...: a test that passes if the command succeeds.
check_that() {
	local name=$1
	shift
	if "$@" >"$work/output" 2>&1; then
		ktap_test_pass "$name"
	else
		ktap_test_fail "$name"
		sed 's/^/# /' "$work/output"
	fi
}

# check_fails NAME TEXT COMMAND...: a test that passes if the command fails and
# says TEXT, an extended regular expression.
check_fails() {
	local name=$1 text=$2
	shift 2
	if ! "$@" >"$work/output" 2>&1 && grep -qE -- "$text" "$work/output"; then
		ktap_test_pass "$name"
	else
		ktap_test_fail "$name"
		echo "# wanted a failure that says: $text"
		sed 's/^/# /' "$work/output" | tail -n 40
	fi
}

# have_module TEST: whether this kernel has iptverdict; if not, the test is skipped.
have_module() {
	modinfo iptverdict >/dev/null 2>&1 || {
		ktap_test_skip "$1: this kernel has no iptverdict, which is in Rust"
		return 1
	}
}

# done_testing: prints the plan, after the tests as TAP allows, and the totals.
done_testing() {
	ktap_set_plan $((KTAP_TESTNO - 1))
	ktap_finished
}

trap cleanup EXIT
ktap_print_header
