// SPDX-License-Identifier: GPL-2.0
/*
 * Sets a counter of iptverdict, on the CPU that loads this module, to a value that traffic
 * would take centuries to reach. Loading always fails: with ECANCELED once that is done.
 */
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/tracepoint.h>

extern struct tracepoint __tracepoint_ipt_verdict;

static unsigned int slot;
module_param(slot, uint, 0);
MODULE_PARM_DESC(slot, "Index of the counter, as index() of iptverdict computes it");

static unsigned long packets;
module_param(packets, ulong, 0);

static unsigned long bytes;
module_param(bytes, ulong, 0);

/* As in iptverdict. */
struct count {
	u64 packets;
	u64 bytes;
};

static int __init ipt_counter_init(void)
{
	struct tracepoint_func *probe = rcu_access_pointer(__tracepoint_ipt_verdict.funcs);
	struct count __percpu *counts;

	if (!probe || !probe->func || slot >= 512)
		return -EINVAL;
	/* The data of its probe is the per-CPU pointer. */
	counts = (__force struct count __percpu *)probe->data;
	this_cpu_write(counts[slot].packets, packets);
	this_cpu_write(counts[slot].bytes, bytes);
	return -ECANCELED;
}
module_init(ipt_counter_init);

MODULE_DESCRIPTION("Sets a counter of iptverdict");
MODULE_LICENSE("GPL");
