// SPDX-License-Identifier: GPL-2.0
/*
 * Uses x_tables, and cannot be unloaded until 0 is written to its parameter busy.
 */
#include <linux/module.h>
#include <linux/netfilter/x_tables.h>

static int set_busy(const char *text, const struct kernel_param *kp)
{
	bool *busy = kp->arg;

	if (*busy)
		module_put(THIS_MODULE);
	*busy = false;
	return 0;
}

static const struct kernel_param_ops busy_ops = {
	.set = set_busy,
};

static bool busy;
module_param_cb(busy, &busy_ops, &busy, 0200);
MODULE_PARM_DESC(busy, "Any value releases the module");

/* For a symbol of x_tables. */
static struct xt_match *volatile unused;

static int __init xt_busy_init(void)
{
	if (unused)
		return xt_register_match(unused);
	__module_get(THIS_MODULE);
	busy = true;
	return 0;
}

static void __exit xt_busy_exit(void)
{
	if (unused)
		xt_unregister_match(unused);
}

module_init(xt_busy_init);
module_exit(xt_busy_exit);

MODULE_DESCRIPTION("Uses x_tables, and stays in use");
MODULE_LICENSE("GPL");
