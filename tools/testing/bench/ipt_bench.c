// SPDX-License-Identifier: GPL-2.0
/*
 * What a call of ipt_do_table(), ip6t_do_table() and arpt_do_table() costs.
 *
 * A read of /sys/kernel/debug/ipt_bench/{ipv4,ipv6,arp} calls the function in a
 * loop, in the network namespace of the reader, and returns a line: the verdict
 * and the time stamp counter's ticks per call, in the best, the median and the
 * worst batch. Under QEMU's -icount shift=0 a tick is an instruction, and the
 * three are the same.
 *
 * The packet is at the input hook of the filter table; it is 100 bytes of UDP
 * from 10.0.0.1 to 10.0.0.2, of UDP from fd00::1 to fd00::2, or a request for
 * 10.0.0.2 by 10.0.0.1.
 */
#include <linux/debugfs.h>
#include <linux/if_arp.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>
#include <linux/sort.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_arp/arp_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>

#define BATCHES		101
#define PACKET_LEN	100

static unsigned int calls = 200;
module_param(calls, uint, 0644);
MODULE_PARM_DESC(calls, "Calls in each of the 101 batches");

static struct dentry *dir;

static void make_ipv4(struct sk_buff *skb)
{
	struct iphdr *ip = skb_put_zero(skb, PACKET_LEN);

	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tot_len = htons(PACKET_LEN);
	ip->ttl = 64;
	ip->protocol = IPPROTO_UDP;
	ip->saddr = htonl(0x0a000001);
	ip->daddr = htonl(0x0a000002);
	skb_set_transport_header(skb, sizeof(*ip));
}

static void make_ipv6(struct sk_buff *skb)
{
	struct ipv6hdr *ip = skb_put_zero(skb, PACKET_LEN);

	ip->version = 6;
	ip->payload_len = htons(PACKET_LEN - sizeof(*ip));
	ip->nexthdr = IPPROTO_UDP;
	ip->hop_limit = 64;
	ipv6_addr_set(&ip->saddr, htonl(0xfd000000), 0, 0, htonl(1));
	ipv6_addr_set(&ip->daddr, htonl(0xfd000000), 0, 0, htonl(2));
	skb_set_transport_header(skb, sizeof(*ip));
}

static void make_arp(struct sk_buff *skb)
{
	struct arphdr *arp = skb_put_zero(skb, PACKET_LEN);
	u8 *addresses = (u8 *)(arp + 1);

	arp->ar_hrd = htons(ARPHRD_ETHER);
	arp->ar_pro = htons(ETH_P_IP);
	arp->ar_hln = ETH_ALEN;
	arp->ar_pln = 4;
	arp->ar_op = htons(ARPOP_REQUEST);
	put_unaligned_be32(0x0a000001, addresses + ETH_ALEN);
	put_unaligned_be32(0x0a000002, addresses + 2 * ETH_ALEN + 4);
}

struct family {
	const char *name;
	u8 pf;
	u8 hook;
	void (*make)(struct sk_buff *skb);
	nf_hookfn *function;
};

static const struct family families[] = {
	{ "ipv4", NFPROTO_IPV4, NF_INET_LOCAL_IN, make_ipv4, ipt_do_table },
	{ "ipv6", NFPROTO_IPV6, NF_INET_LOCAL_IN, make_ipv6, ip6t_do_table },
	{ "arp", NFPROTO_ARP, NF_ARP_IN, make_arp, arpt_do_table },
};

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static int measure(struct seq_file *m, const struct family *family)
{
	struct net *net = current->nsproxy->net_ns;
	unsigned int i, j, verdict = 0, n = calls;
	struct nf_hook_state state;
	struct xt_table *table;
	unsigned long flags;
	struct sk_buff *skb;
	u64 ticks[BATCHES];

	if (!n)
		return -EINVAL;

	table = xt_find_table(net, family->pf, "filter");
	if (!table)
		return -ENOENT;
	skb = alloc_skb(PACKET_LEN, GFP_KERNEL);
	if (!skb)
		return -ENOMEM;
	skb_reset_network_header(skb);
	family->make(skb);
	skb->dev = net->loopback_dev;
	nf_hook_state_init(&state, family->hook, family->pf, net->loopback_dev,
			   NULL, NULL, net, NULL);

	/* As in the receive path. No interrupt counts as part of a call. */
	local_bh_disable();
	for (i = 0; i < BATCHES; i++) {
		local_irq_save(flags);
		ticks[i] = rdtsc_ordered();
		for (j = 0; j < n; j++)
			verdict = family->function(table, skb, &state);
		ticks[i] = rdtsc_ordered() - ticks[i];
		local_irq_restore(flags);
	}
	local_bh_enable();

	kfree_skb(skb);

	sort(ticks, BATCHES, sizeof(ticks[0]), compare, NULL);
	seq_printf(m, "%u %llu %llu %llu\n", verdict, ticks[0] / n,
		   ticks[BATCHES / 2] / n, ticks[BATCHES - 1] / n);
	return 0;
}

static int ipt_bench_show(struct seq_file *m, void *unused)
{
	return measure(m, m->private);
}
DEFINE_SHOW_ATTRIBUTE(ipt_bench);

static int __init ipt_bench_init(void)
{
	unsigned int i;

	dir = debugfs_create_dir("ipt_bench", NULL);
	for (i = 0; i < ARRAY_SIZE(families); i++)
		debugfs_create_file(families[i].name, 0400, dir,
				    (void *)&families[i], &ipt_bench_fops);
	return 0;
}

static void __exit ipt_bench_exit(void)
{
	debugfs_remove(dir);
}

module_init(ipt_bench_init);
module_exit(ipt_bench_exit);

MODULE_DESCRIPTION("Cost of a call of ipt_do_table()");
MODULE_LICENSE("GPL");
