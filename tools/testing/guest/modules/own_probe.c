// SPDX-License-Identifier: GPL-2.0
/*
 * Leaves a probe registered on a tracepoint of its own.
 */
#include <linux/module.h>
#include <linux/tracepoint.h>

DECLARE_TRACE(own_probe, TP_PROTO(int n), TP_ARGS(n));
DEFINE_TRACE(own_probe_tp, TP_PROTO(int n), TP_ARGS(n));

static void probe(void *data, int n)
{
}

static int __init own_probe_init(void)
{
	return register_trace_own_probe_tp(probe, NULL);
}

/* Without an exit function, the module could not be unloaded. */
static void __exit own_probe_exit(void)
{
}

module_init(own_probe_init);
module_exit(own_probe_exit);

MODULE_DESCRIPTION("Leaves a probe registered on a tracepoint of its own");
MODULE_LICENSE("GPL");
