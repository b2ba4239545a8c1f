#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Fault injection: allocations and functions fail, each in turn, while the module is loaded
# and its files are used.
#
# boot KERNEL_OPTS=kmemleak=on
# needs CONFIG_FAULT_INJECTION
# needs CONFIG_RUST

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

debug=/sys/kernel/debug
functions="pcpu_alloc_noprof tracepoint_probe_register_prio_may_exist debugfs_create_dir"
functions+=" debugfs_create_file_full"
fail_nth=$REPO/tools/testing/guest/fail_nth.py

# Let GFP_KERNEL allocations fail as well, without messages in the log.
for name in failslab fail_page_alloc fail_function; do
	echo 0 >$debug/$name/verbose
	for option in ignore-gfp-wait ignore-gfp-highmem; do
		[[ ! -e $debug/$name/$option ]] || echo N >$debug/$name/$option
	done
	[[ ! -e $debug/$name/min-order ]] || echo 0 >$debug/$name/min-order
done

# within FUNCTION KIND...: restricts these kinds of faults to callees of FUNCTION.
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

# inject FUNCTION...: lets fail_function fail these functions, and no others.
inject() {
	local name
	echo >$debug/fail_function/inject
	for name; do
		echo "$name" >$debug/fail_function/inject
		# -ENOMEM; the default is NULL.
		[[ $name == pcpu_* ]] || echo 0xfffffffffffffff4 >"$debug/fail_function/$name/retval"
	done
}

insmod "$KDIR/test-modules/fail_functions.ko"
make_hosts
modprobe ip6_tables
modprobe arp_tables
modprobe ip_tables
modprobe nf_tables
# The first load makes allocations that the later ones do not.
modprobe iptverdict
rmmod iptverdict
dmesg --clear

# failing WHAT FILE [MAX]: fails one step after the other, and writes the results to
# $work/WHAT.
failing() {
	"$fail_nth" "$@" >"$work/$1"
}
# results WHAT [PATTERN]: prints the number of results that match.
results() {
	grep -cE "^[0-9]+ ${2:-}" "$work/$1" || :
}
# surprises WHAT: prints the results that are neither success nor a clean error, and the last
# one if it is not a success without faults.
surprises() {
	grep -vxE '[0-9]+ (ok|ENOMEM) something|[0-9]+ ok nothing' "$work/$1" || :
	tail -n 1 "$work/$1" | grep -v ' ok nothing$' || :
}

# Loading. do_init_module() calls the initialisation of the module.
module=$(modinfo -F filename iptverdict)
# shellcheck disable=SC2086 # lists
{
	inject $functions
	within do_init_module $kinds
}
failing load "$module"
steps=$(results load '.* something')
check "faults: $steps steps of loading failed, each in turn: clean error or working module" \
	"$(surprises load)" ""
# The kernel tolerates missing debugfs files and some failed allocations of its own.
errors=$(results load ENOMEM)
check_that "faults: loading: $errors errors, $((steps - errors)) tolerated faults" \
	test "$errors" -ge 8
check "faults: a failed load leaves no probe" "$(dmesg | grep -c 'left [0-9]* probe' || :)" 0

# Each of the functions alone: panic() is never called, so no allocation fails.
within panic failslab fail_page_alloc
for name in $functions; do
	inject "$name"
	failing load "$module" 1
	case $name in
	debugfs_*) result=ok ;;
	*) result=ENOMEM ;;
	esac
	check "faults: load when $name fails: $result" "$(cat "$work/load")" "1 $result something"
done
inject

check_that "faults: a load after failed loads succeeds" modprobe iptverdict
in_net client ping -qc 3 -i 0.05 $server >/dev/null
ipt router -L -n >/dev/null
in_net client ping -qc 3 -i 0.05 $server >/dev/null
check "faults: the module counts after failed loads" "$(grep FORWARD $debugfs/stats)" \
	"ipv4 filter FORWARD ACCEPT 6 504"

# A reset tolerates one failed allocation, but not that all fail after some pages.
# memory PAGES: sets how many pages can be allocated before allocations fail.
memory() {
	echo $((4096 * $1)) >$debug/failslab/space
	echo "$1" >$debug/fail_page_alloc/space
}
# all_fail PERCENT: sets the share of allocations that fail then.
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
	[[ $error == *"Cannot allocate memory" && $(cat $debugfs/stats) == "$before" ]] ||
		changed+=" $pages:$error"
done
check "faults: $errors resets without enough memory: ENOMEM, counters unchanged" "$changed" ""
check_that "faults: resets fail without memory, and succeed with enough" \
	test $errors -ge 3 -a $pages -lt 100
check "faults: the reset with enough memory works" "$(grep FORWARD $debugfs/stats || :)" ""

for file in stats percpu reset; do
	[[ $file == reset ]] && function=full_proxy_write || function=full_proxy_read
	# shellcheck disable=SC2086 # a list
	within $function $kinds
	failing $file $debugfs/$file
	steps=$(results $file '.* something') errors=$(results $file ENOMEM)
	check "faults: $steps allocations of $file failed, each in turn: ENOMEM or success" \
		"$(surprises $file)" ""
	check_that "faults: $file: some allocations failed" test "$steps" -ge 1
	[[ $file == reset ]] ||
		check_that "faults: $file: $errors reads failed" test "$errors" -ge 1
done
rmmod iptverdict
rmmod fail_functions

done_testing
