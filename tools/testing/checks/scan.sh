#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What decides whether a guest's log has a report, and which are allowed.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# scan LINE...: of a log that ends with them.
scan() {
	printf '%s\r\n' '[    0.000000] Linux version 7.3.4' '[    0.100000] kasan: KernelAddressSanitizer initialized' \
		'[    0.200000] kmemleak: Kernel memory leak detector initialized' \
		'[    0.300000] rcu: Hierarchical RCU implementation.' \
		'[    0.400000] kcsan: non-strict mode configured - use CONFIG_KCSAN_STRICT=y to see all data races' \
		"${@/#/[   10.123456] }" >"$log"
	"$REPO/tools/testing/vm/scan" "$log"
}
finds() {
	local output
	! output=$(scan "$@") && grep -qF -- "$1" <<<"$output"
}

check "nothing in an ordinary log" scan
while read -r line; do
	check "found: $line" finds "$line"
done <<'E'
BUG: KASAN: slab-use-after-free in ipt_do_table+0x1b2/0x9a0
BUG: KCSAN: data-race in ipt_do_table / ipt_do_table
BUG: KCSAN: data-race in __xt_table_info / show_percpu_stats
BUG: sleeping function called from invalid context at mm/slab.h:1
BUG: unable to handle page fault for address: ffffffffa00081e1
BUG: scheduling while atomic: ping/100/0x00000101
BUG: Bad page state in process ping  pfn:00001
BUG kmalloc-64 (Not tainted): Poison overwritten
UBSAN: array-index-out-of-bounds in net/ipv4/netfilter/ip_tables.c:1:2
CFI failure at ipt_do_table+0x1/0x2 (target: x+0x0/0x10; expected type: 0x1)
Oops: int3: 0000 [#1] SMP
Kernel panic - not syncing: Fatal exception in interrupt
general protection fault, probably for non-canonical address 0xdead
WARNING: possible circular locking dependency detected
WARNING: possible recursive locking detected
WARNING: inconsistent lock state
WARNING: suspicious RCU usage
WARNING: net/core/dev.c:1 at foo+0x1/0x2, CPU#0: ping/1
ODEBUG: free active (active state 0) object: x object type: timer_list
kmemleak: unreferenced object 0xffff888004566840 (size 64):
kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
INFO: task ping:1 blocked for more than 120 seconds.
unregister_netdevice: waiting for lo to become free. Usage count = 2
refcount_t: underflow; use-after-free.
pagealloc: memory corruption
ping: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL), nodemask=(null)
bash: vmalloc error: size 8192, failed to allocate pages, mode:0xcc2(GFP_KERNEL), nodemask=(null)
Call Trace:
E
allowed="BUG: KCSAN: data-race in tick_sched_timer / update_process_times"
check "allowed: $allowed" scan "$allowed" "Call Trace:"
check "what is beside it is found" finds "BUG: KASAN: use-after-free in foo" "$allowed"
check "what comes after it is found" finds "WARNING: net/core/dev.c:1" "Call Trace:"
# last_found LINE...: of them, the last.
last_found() {
	local output
	! output=$(scan "$@") && grep -qF -- "${*: -1}" <<<"$output"
}
timer=("ODEBUG: object ffff888017e0fd48 is on stack ffff888017e08000, but NOT annotated." "Call Trace:")
check "allowed by a line within" scan "${timer[@]}" " rust_doctest_kernel_time_hrtimer_rs_1+0x76/0x1c0"
check "not allowed without that line" finds "${timer[@]}" " another_function+0x76/0x1c0"
check "an allowed one does not hide the next" last_found "$allowed" "Call Trace:" "Oops: 0000"
check "nor a stack without a title" last_found "$allowed" "Call Trace:" "Call Trace: another"
mapfile -t lines < <(seq -f 'line %g' 50)
check "nor one that is far from it" last_found "$allowed" "${lines[@]}" "Call Trace: far"

done_testing
