#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# vm/scan.py: which lines of a guest's log are reports, and which reports are allowed.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# scan LINE...: scans a log that ends with these lines.
scan() {
	printf '%s\r\n' '[    0.000000] Linux version 7.3.4' '[    0.100000] kasan: KernelAddressSanitizer initialized' \
		'[    0.200000] kmemleak: Kernel memory leak detector initialized' \
		'[    0.300000] rcu: Hierarchical RCU implementation.' \
		'[    0.400000] kcsan: non-strict mode configured - use CONFIG_KCSAN_STRICT=y to see all data races' \
		"${@/#/[   10.123456] }" >"$log"
	"$REPO/tools/testing/vm/scan.py" "$log"
}
# finds TEXT LINE...: succeeds if a scan of the lines fails and prints TEXT.
finds() {
	local output
	! output=$(scan "${@:2}") && grep -qF -- "$1" <<<"$output"
}

check "scan: a log without reports passes" scan
while read -r line; do
	check "scan: finds '$line'" finds "$line" "$line"
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

race="BUG: KCSAN: data-race in tick_sched_timer / update_process_times"
timer="ODEBUG: object ffff888017e0fd48 is on stack ffff888017e08000, but NOT annotated."
trace="Call Trace:"
mapfile -t lines < <(seq -f 'line %g' 50)
for line in "Command line: virtme_chdir=a/rcu-installed/KASAN/Oops" "Kernel command line: a/KASAN/b" \
	'Unknown kernel command line parameters "virtme_chdir=a/KASAN"' "  virtme_chdir=a/KASAN"; do
	check "scan: ignores the command line in '${line%%=*}'" scan "$line"
done
check "scan: allows a race in the kernel's own code" scan "$race" "$trace"
check "scan: allows a title with the required line below it" \
	scan "$timer" "$trace" " rust_doctest_kernel_time_hrtimer_rs_1+0x76/0x1c0"
# Of each row, the last line has to be found.
while IFS=$'\t' read -r name first second; do
	check "scan: $name" finds "$second" "$first" "$trace" "$second"
done <<E
a report after an allowed one is found	$race	Oops: 0000
a second stack after an allowed report is found	$race	Call Trace: another
E
check "scan: a title above a stack is found" finds "WARNING: net/core/dev.c:1" "WARNING: net/core/dev.c:1" "$trace"
check "scan: an allowed report does not hide one before it" \
	finds "BUG: KASAN: use-after-free in foo" "BUG: KASAN: use-after-free in foo" "$race"
check "scan: a title without the required line below it is found" \
	finds "$timer" "$timer" "$trace" " another_function+0x76/0x1c0"
check "scan: a stack far from an allowed report is found" \
	finds "Call Trace: far" "$race" "${lines[@]}" "Call Trace: far"

done_testing
