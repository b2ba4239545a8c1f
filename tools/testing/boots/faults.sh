#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Allocations and functions that fail, each in turn: when the module is loaded, and when
# its files are used.
#
# boot KERNEL_OPTS=kmemleak=on page_poison=1 slab_debug=PZ
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

# within START END [KIND...]: only what fails within that code counts, of those kinds.
within() {
	local kind
	for kind in "${@:3}"; do
		echo "$1" >"$debug/$kind/require-start"
		echo "$2" >"$debug/$kind/require-end"
	done
}
kinds="failslab fail_page_alloc fail_function"
# do_init_module() is what calls the module's own initialisation.
read -r init init_end < <(sort /proc/kallsyms |
	awk 'found { print "0x" $1; exit } $3 == "do_init_module" { print "0x" $1; found = 1 }' | xargs)

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
echo clear >$debug/kmemleak
dmesg --clear

# Loading.
# shellcheck disable=SC2086 # lists
{
	inject $functions
	within "$init" "$init_end" $kinds
}
module=$(modinfo -F filename iptverdict)
failed=0 survived=0 bad=
for ((n = 1; n < 1000; n++)); do
	result=$("$fail_nth" $n load "$module")
	case $result in
	"loaded, nothing failed") break ;;
	"loaded, something failed")
		# As C does, the kernel goes on without files in debugfs, or memory for its own notes.
		survived=$((survived + 1))
		rmmod iptverdict || bad+=" $n:rmmod"
		;;
	"ENOMEM, something failed") failed=$((failed + 1)) ;;
	*) bad+=" $n:$result" ;;
	esac
	[[ ! -d /sys/module/iptverdict && ! -d $debugfs ]] || bad+=" $n:left"
done
check "when one of the $((n - 1)) steps of loading fails: a clean error, or a module that works" "$bad" ""
check_that "of which $failed are errors, and $survived are survived" test $failed -ge 8
rmmod iptverdict
check "no probe is left behind" "$(dmesg | grep -c 'left [0-9]* probe' || :)" 0

# Each of the functions alone.
within 1 2 failslab fail_page_alloc
for name in $functions; do
	inject "$name"
	result=$("$fail_nth" 1 load "$module")
	case $name in
	debugfs_*)
		check "$name fails: the module is loaded all the same" "$result" "loaded, something failed"
		rmmod iptverdict
		;;
	*) check "$name fails: so does loading" "$result" "ENOMEM, something failed" ;;
	esac
done
inject

# The files. A reset that fails changes nothing.
check_that "the next load works" modprobe iptverdict
host client ping -qc 3 -i 0.05 $server >/dev/null
ipt router -L -n >/dev/null
host client ping -qc 3 -i 0.05 $server >/dev/null
before=$(cat $debugfs/stats)
check "and counts" "$(grep FORWARD <<<"$before")" "ipv4 filter FORWARD ACCEPT 6 504"
# shellcheck disable=SC2086 # a list
within 0 0xffffffffffffffff $kinds
bad='' failed=0
for what in reset stats percpu; do
	for ((n = 1; n < 200; n++)); do
		result=$("$fail_nth" $n $what $debugfs/$what)
		case $result in
		"done, nothing failed") break ;;
		"done, something failed") ;;
		"ENOMEM, something failed")
			failed=$((failed + 1))
			[[ $what != reset || $(cat $debugfs/stats) == "$before" ]] || bad+=" $what $n:changed"
			;;
		*) bad+=" $what $n:$result" ;;
		esac
		[[ $what != reset || $result != done* ]] || before=$(cat $debugfs/stats)
	done
done
check "when an allocation of a file fails: ENOMEM, and nothing has changed" "$bad" ""
check_that "of which there were $failed" test $failed -gt 3
rmmod iptverdict
rmmod fail_functions

# kmemleak wants to see what nobody points to twice, and be sure of its age.
sleep 6
echo scan >$debug/kmemleak
echo scan >$debug/kmemleak
check "no memory is lost" "$(grep -cE 'verdict|percpu|tracepoint|debugfs' $debug/kmemleak || :)" 0

done_testing
