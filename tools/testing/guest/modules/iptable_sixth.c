// SPDX-License-Identifier: GPL-2.0
/*
 * A third-party table: one that is not among the five tables of the kernel.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <net/net_namespace.h>

static const struct xt_table sixth = {
	.name = "sixth",
	.valid_hooks = 1 << NF_INET_LOCAL_IN | 1 << NF_INET_FORWARD | 1 << NF_INET_LOCAL_OUT,
	.me = THIS_MODULE,
	.af = NFPROTO_IPV4,
	.priority = NF_IP_PRI_FILTER + 1,
};

static struct nf_hook_ops *hooks;

static int sixth_init_net(struct net *net)
{
	struct ipt_replace *initial = ipt_alloc_initial_table(&sixth);
	int err;

	if (!initial)
		return -ENOMEM;
	err = ipt_register_table(net, &sixth, initial, hooks);
	kfree(initial);
	return err;
}

static void __net_exit sixth_pre_exit_net(struct net *net)
{
	xt_unregister_table_pre_exit(net, NFPROTO_IPV4, "sixth");
}

static void __net_exit sixth_exit_net(struct net *net)
{
	ipt_unregister_table_exit(net, "sixth");
}

static struct pernet_operations nets = {
	.pre_exit = sixth_pre_exit_net,
	.exit = sixth_exit_net,
};

static int __init sixth_init(void)
{
	int err;

	hooks = xt_hook_ops_alloc(&sixth, ipt_do_table);
	if (IS_ERR(hooks))
		return PTR_ERR(hooks);
	err = register_pernet_subsys(&nets);
	if (err)
		goto free;
	err = xt_register_template(&sixth, sixth_init_net);
	if (err)
		goto unregister;
	return 0;

unregister:
	unregister_pernet_subsys(&nets);
free:
	kfree(hooks);
	return err;
}

static void __exit sixth_exit(void)
{
	xt_unregister_template(&sixth);
	unregister_pernet_subsys(&nets);
	kfree(hooks);
}

module_init(sixth_init);
module_exit(sixth_exit);

MODULE_DESCRIPTION("A sixth table of iptables");
MODULE_LICENSE("GPL");
