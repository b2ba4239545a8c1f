# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the tests share: the recorded events, the counters of the module, and KTAP.

set -euo pipefail

# The tests match error messages.
export LC_ALL=C

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=/dev/null
. "$here/../kselftest/ktap_helpers.sh"
# shellcheck source=tools/testing/selftests/iptverdict/hosts.sh
. "$here/hosts.sh"

tracefs=/sys/kernel/tracing
instance=$tracefs/instances/iptverdict
debugfs=/sys/kernel/debug/iptverdict
work=$(mktemp -d)

cleanup() {
	trace_off
	remove_hosts
	rm -rf "$work"
}

# The event to record, its trace system and its module.
event=ipt_verdict
event_system=iptables
event_module=ip_tables

# trace_on [FILTER]: clears the trace and starts recording the event.
trace_on() {
	[[ -d $instance ]] || mkdir "$instance"
	[[ -d $instance/events/$event_system/$event ]] || modprobe $event_module
	echo 0 >"$instance/events/$event_system/$event/enable"
	echo "${1:-0}" >"$instance/events/$event_system/$event/filter"
	echo >"$instance/trace"
	echo 1 >"$instance/events/$event_system/$event/enable"
}

trace_off() {
	[[ ! -d $instance ]] || rmdir "$instance"
}

# trace: prints the recorded events, one per line, from the first field on.
trace() {
	sed -n "s/.* $event: //p" "$instance/trace"
}

# recorded N: succeeds if the trace has at least N events.
recorded() {
	(($(grep -c " $event: " "$instance/trace") >= $1))
}

# events N: waits until the trace has at least N events. Succeeds even if it has fewer: the
# check that follows shows the difference.
events() {
	wait_until recorded "$1" || :
}

# flood_on RATE PORTS SIZES: the client sends so many datagrams a second to the server until
# flood_off.
flood_on() {
	# Not by in_net, so that $! is the sender, not a subshell.
	nsenter --net=/run/netns/client nice -n 5 "$here/send.py" --count 0 --rate "$1" \
		--ready "$work/flooding" $server "$2" "$3" &
	flood=$!
	wait_until test -e "$work/flooding"
	rm "$work/flooding"
}

# flood_off: stops the sender and waits until its last packet has arrived.
flood_off() {
	kill "$flood"
	wait "$flood" 2>/dev/null || :
	settle
}

# field NAME: prints this field of each event on standard input that has it.
field() {
	sed -n "s/.*\<$1=\([^ ]*\).*/\1/p"
}

# columns NAME...: prints these fields of each event on standard input.
columns() {
	awk -F '[ =]' -v names="$*" '
		BEGIN { n = split(names, name, " ") }
		{
			split("", value)
			for (i = 1; i < NF; i += 2)
				value[$i] = $(i + 1)
			for (i = 1; i <= n; i++)
				printf "%s%s", value[name[i]], i < n ? " " : "\n"
		}'
}

# any_rule: prints the events of the trace, without the numbers that vary between runs.
any_rule() {
	trace | sed -E 's/skbaddr=0* /skbaddr=NULL /; s/skbaddr=[0-9a-f]* /skbaddr=PTR /
		s/rule=[0-9]+/rule=N/; s/ruleset=[1-9][0-9]*/ruleset=N/'
}

# blob TABLE [FAMILY]: saves the rules of a table of the router, for decided_by.
blob() {
	touch "$work/blob"
	sed -i "/^$1 /d" "$work/blob"
	in_net router "$here/ruleset.py" blob "$@" | sed "s/^/$1 /" >>"$work/blob"
}

# decided_by FIELD...: prints for each event of the trace these fields, and the comment of
# the deciding rule, or its chain and number.
decided_by() {
	trace | columns "$@" table rule | awk '
		NR == FNR { name[$1, $2] = $6 ? $6 : $3 " " $4; next }
		{ $(NF - 1) = name[$(NF - 1), $NF]; NF--; print }' "$work/blob" -
}

# fields: prints type, name and size of the fields of the event, without the common ones.
fields() {
	sed -n '/common_/d; s/^\tfield:\(.*\);\toffset:[0-9]*;\tsize:\([0-9]*\);.*/\1 \2/p' \
		"$instance/events/$event_system/$event/format"
}

# record SIZE FIELD: prints what fields is to print of an event that has addresses of SIZE
# bytes, and FIELD from the header of the packet.
record() {
	echo "u64 net_cookie 8
u64 ruleset 8
const void * skbaddr 8
unsigned int netns 4
int rule 4
u32 mark 4
unsigned int len 4
char table[16] 16
char in[16] 16
char out[16] 16
u8 saddr[$1] $1
u8 daddr[$1] $1
u16 queue 2
u16 errno 2
$2
u8 verdict 1
u8 hook 1
u8 pf 1
u8 ctstate 1
bool policy 1
bool bypass 1"
}

# Table, chain and verdict of a packet that the router forwards, and of its reply, which the
# nat table does not see.
# shellcheck disable=SC2034 # the tests use it
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

# counted [PREFIX]: prints the rows of the module's stats; with PREFIX, the rest of those
# rows that begin with it.
counted() {
	sed "1d; ${1:+/^$1 */!d; s///}" $debugfs/stats
}

# netns_cookie HOST: prints the cookie of its network namespace (SO_NETNS_COOKIE).
netns_cookie() {
	in_net "$1" python3 -c 'import socket, sys
cookie = socket.socket().getsockopt(socket.SOL_SOCKET, 71, 8)
print(int.from_bytes(cookie, sys.byteorder))'
}

# netns_inode HOST: prints the inode of its network namespace, as lsns shows it.
netns_inode() {
	stat --dereference --format %i "/run/netns/$1"
}

# as_integer ADDRESS: prints an IPv4 address as event filters compare it: in the byte order
# of the CPU.
as_integer() {
	local bytes
	IFS=. read -ra bytes <<<"$1"
	printf %b "$(printf '\\x%02x' "${bytes[@]}")" | od -An -tu4 | tr -d ' '
}

# check NAME GOT WANT: a test that passes if GOT and WANT are equal.
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

# check_fails NAME TEXT COMMAND...: a test that passes if the command fails and prints TEXT,
# an extended regular expression.
check_fails() {
	local name=$1 text=$2
	shift 2
	if ! "$@" >"$work/output" 2>&1 && grep -qE -- "$text" "$work/output"; then
		ktap_test_pass "$name"
	else
		ktap_test_fail "$name"
		echo "# expected a failure that prints: $text"
		sed 's/^/# /' "$work/output" | tail -n 40
	fi
}

# have_module TEST: succeeds if this kernel has iptverdict; otherwise skips the test.
have_module() {
	modinfo iptverdict >/dev/null 2>&1 || {
		ktap_test_skip "$1: this kernel lacks iptverdict (it needs Rust)"
		return 1
	}
}

# have_btf MODULE TEST: succeeds if the module has BTF, which tp_btf needs; otherwise skips the
# test.
have_btf() {
	[[ -f /sys/kernel/btf/$1 ]] || {
		ktap_test_skip "$2: $1 has no BTF: it was built without vmlinux"
		return 1
	}
}

# old_bpftrace: succeeds for versions that lack args.FIELD and raw tracepoints of modules.
old_bpftrace() {
	! printf '%s\n' 0.19 "$(bpftrace --version | sed 's/.* v//')" |
		sort --version-sort --check=silent
}

# done_testing: prints the plan, which TAP allows at the end, and the totals.
done_testing() {
	ktap_set_plan $((KTAP_TESTNO - 1))
	ktap_finished
}

trap cleanup EXIT
ktap_print_header
