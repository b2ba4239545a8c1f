// SPDX-License-Identifier: GPL-2.0
/*
 * A target that returns any verdict, including those that no in-tree target returns.
 *
 * It takes the name of CLASSIFY, which the test kernels lack, because iptables has an option
 * with 32 bits for that target: --set-class ffff:00ff is the verdict 0xffff00ff.
 */
#include <linux/module.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_CLASSIFY.h>

static unsigned int any_verdict(struct sk_buff *skb, const struct xt_action_param *par)
{
	const struct xt_classify_target_info *info = par->targinfo;

	return info->priority;
}

static struct xt_target target __read_mostly = {
	.name = "CLASSIFY",
	.family = NFPROTO_UNSPEC,
	.target = any_verdict,
	.targetsize = sizeof(struct xt_classify_target_info),
	.me = THIS_MODULE,
};

static int __init any_verdict_init(void)
{
	return xt_register_target(&target);
}

static void __exit any_verdict_exit(void)
{
	xt_unregister_target(&target);
}

module_init(any_verdict_init);
module_exit(any_verdict_exit);

MODULE_DESCRIPTION("A target that returns any verdict");
MODULE_LICENSE("GPL");
