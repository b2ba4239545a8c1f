// SPDX-License-Identifier: GPL-2.0
/*
 * A match that requests a hot drop and returns true, as xt_recent does when memory runs out.
 *
 * It takes the name of cpu, which the test kernels lack: -m cpu --cpu 0.
 */
#include <linux/module.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_cpu.h>

static bool hotdrop_mt(const struct sk_buff *skb, struct xt_action_param *par)
{
	par->hotdrop = true;
	return true;
}

static struct xt_match match __read_mostly = {
	.name = "cpu",
	.family = NFPROTO_UNSPEC,
	.match = hotdrop_mt,
	.matchsize = sizeof(struct xt_cpu_info),
	.me = THIS_MODULE,
};

static int __init hotdrop_init(void)
{
	return xt_register_match(&match);
}

static void __exit hotdrop_exit(void)
{
	xt_unregister_match(&match);
}

module_init(hotdrop_init);
module_exit(hotdrop_exit);

MODULE_DESCRIPTION("A match that requests a hot drop and returns true");
MODULE_LICENSE("GPL");
