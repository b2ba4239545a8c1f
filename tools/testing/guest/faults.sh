#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocations and functions that fail, each in turn: when the module is loaded, and when
# its files are used.
#
# boot KERNEL_OPTS=kmemleak=on
# needs CONFIG_FAULT_INJECTION
# needs CONFIG_RUST

# shellcheck source=tools/env.sh
. "$(dirname "$(realpath "$0")")/../../env.sh"
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

debug=/sys/kernel/debug
functions="pcpu_alloc_noprof tracepoint_probe_register_prio_may_exist debugfs_create_dir debugfs_create_file_full"
fail_nth=$REPO/tools/testing/boots/fail_nth.py

# Also of those who may wait. Who fails is not to fill the log.
for name in failslab fail_page_alloc fail_function; do
	echo 0 >$debug/$name/verbose
	for option in ignore-gfp-wait ignore-gfp-highmem; do
		[[ ! -e $debug/$name/$option ]] || echo N >$debug/$name/$option
	done
	[[ ! -e $debug/$name/min-order ]] || echo 0 >$debug/$name/min-order
done

# within FUNCTION KIND...: only what fails within that function counts, of those kinds.
within() {
	local kind start end
	read -r start end < <(sort /proc/kallsyms | awk -v name="$1" '
		found { print "0x" $1; exit }
		$3 == name { print "0x" $1; found = 1 }' | xargs)
	for kind in "${@:2}"; do
		echo "$start" >"$debug/$kind/require-start"
		echo "$end" >"$debug/$kind/require-end"
	done
}
kinds="failslab fail_page_alloc fail_function"

# inject FUNCTION...: these fail, too.
inject() {
	local name
	echo >$debug/fail_function/inject
	for name; do
		echo "$name" >$debug/fail_function/inject
		# ENOMEM, or NULL.
		[[ $name == pcpu_* ]] || echo 0xfffffffffffffff4 >"$debug/fail_function/$name/retval"
	done
}

insmod "$KDIR/test-modules/fail_functions.ko"
make_hosts
modprobe ip6_tables
modprobe arp_tables
modprobe ip_tables
# What is allocated only once.
modprobe iptverdict
rmmod iptverdict
dmesg --clear

# failing WHAT FILE [MAX]: one after the other, into $work/WHAT.
failing() {
	"$fail_nth" "$@" >"$work/$1"
}
# results WHAT [PATTERN]: how many there were of these.
results() {
	grep -cE "^[0-9]+ ${2:-}" "$work/$1" || :
}
# surprises WHAT: what is neither success nor a clean error; and it has to come to an end.
surprises() {
	grep -vxE '[0-9]+ (ok|ENOMEM) something|[0-9]+ ok nothing' "$work/$1" || :
	tail -n 1 "$work/$1" | grep -v ' ok nothing$' || :
}

# Loading: do_init_module() is what calls the module's own initialisation.
module=$(modinfo -F filename iptverdict)
# shellcheck disable=SC2086 # lists
{
	inject $functions
	within do_init_module $kinds
}
failing load "$module"
check "$(results load '.* something') steps of loading fail, each in turn: a clean error, or a module that works" \
	"$(surprises load)" ""
# As C does, the kernel goes on without files in debugfs, or memory for its own notes.
check_that "of which $(results load ENOMEM) are errors, and $(results load 'ok something') are survived" \
	test "$(results load ENOMEM)" -ge 8
check "no probe is left behind" "$(dmesg | grep -c 'left [0-9]* probe' || :)" 0

# Each of the functions alone: nothing else fails within what is not called.
within panic failslab fail_page_alloc
for name in $functions; do
	inject "$name"
	failing load "$module" 1
	case $name in
	debugfs_*) check "$name fails: the module is loaded all the same" "$(cat "$work/load")" "1 ok something" ;;
	*) check "$name fails: so does loading" "$(cat "$work/load")" "1 ENOMEM something" ;;
	esac
done
inject

# The files.
check_that "the next load works" modprobe iptverdict
host client ping -qc 3 -i 0.05 $server >/dev/null
ipt router -L -n >/dev/null
host client ping -qc 3 -i 0.05 $server >/dev/null
check "and counts" "$(grep FORWARD $debugfs/stats)" "ipv4 filter FORWARD ACCEPT 6 504"

# A reset goes on without one of its allocations, but not when all fail after some pages.
# memory PAGES: what there is.
memory() {
	echo $((4096 * $1)) >$debug/failslab/space
	echo "$1" >$debug/fail_page_alloc/space
}
# all_fail PERCENT: of what allocates within, then.
all_fail() {
	local kind
	for kind in failslab fail_page_alloc; do
		echo -1 >$debug/$kind/times
		echo "$1" >$debug/$kind/probability
	done
}
before=$(cat $debugfs/stats)
within full_proxy_write failslab fail_page_alloc
changed='' errors=0
for ((pages = 0; pages < 100; pages++)); do
	memory $pages
	all_fail 100
	rc=0
	error=$(bash -c "echo 1 >$debugfs/reset" 2>&1) || rc=$?
	all_fail 0
	((rc)) || break
	errors=$((errors + 1))
	[[ $error == *"Cannot allocate memory" && $(cat $debugfs/stats) == "$before" ]] || changed+=" $pages:$error"
done
check "$errors resets without enough memory: ENOMEM, and nothing has changed" "$changed" ""
check_that "the first had none, the last of several enough" test $errors -ge 3 -a $pages -lt 100
check "that one has" "$(grep FORWARD $debugfs/stats || :)" ""

for file in stats percpu reset; do
	[[ $file == reset ]] && function=full_proxy_write || function=full_proxy_read
	# shellcheck disable=SC2086 # a list
	within $function $kinds
	failing $file $debugfs/$file
	check "$(results $file '.* something') allocations of $file fail, each in turn: ENOMEM, or it works" \
		"$(surprises $file)" ""
	check_that "$file: there were some" test "$(results $file '.* something')" -ge 1
	[[ $file == reset ]] || check_that "$file: of which $(results $file ENOMEM) are errors" \
		test "$(results $file ENOMEM)" -ge 1
done
rmmod iptverdict
rmmod fail_functions

done_testing
