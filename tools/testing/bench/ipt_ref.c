// SPDX-License-Identifier: GPL-2.0
/*
 * The C reference implementation of iptverdict: the same counters, found in the same
 * way, but no files. It exists to compare the cost.
 */
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <linux/tracepoint.h>
#include <linux/unaligned.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_arp/arp_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <trace/events/arptables.h>
#include <trace/events/ip6tables.h>
#include <trace/events/iptables.h>
#include <trace/events/nftables.h>

struct count {
	u64 packets;
	u64 bytes;
};

/* Three bits each for table or family, hook and verdict. */
#define COUNTS	512

enum { OTHER_TABLE, SECURITY, NAT, RAW, FILTER = 6, MANGLE };

#define OTHER_VERDICT	(NF_MAX_VERDICT + 1)

/*
 * Names, indexed by three bits of their third letter. "security" is missing: with its
 * terminating zero it does not fit into a word.
 */
static const char names[8][sizeof(u64)] = {
	[NAT] = "nat", [RAW] = "raw", [FILTER] = "filter", [MANGLE] = "mangle",
};

static __always_inline unsigned int table_of(const struct xt_table *table)
{
	u64 name = get_unaligned((const u64 *)table->name);
	unsigned int slot = (table->name[2] >> 1) & 7;

	if (likely(name == get_unaligned((const u64 *)names[slot])))
		return slot;
	return memcmp(table->name, "security", 9) ? OTHER_TABLE : SECURITY;
}

static __always_inline unsigned int action_of(unsigned int verdict)
{
	if (likely(verdict <= NF_MAX_VERDICT))
		return verdict;
	return min_t(unsigned int, verdict & NF_VERDICT_MASK, OTHER_VERDICT);
}

static __always_inline unsigned int family_of(const struct nf_hook_state *state)
{
	return state->pf * 5 >> 2 & 7;
}

static __always_inline void count(void *data, const struct sk_buff *skb,
				  const struct nf_hook_state *state,
				  unsigned int slot, unsigned int verdict)
{
	struct count __percpu *counts = (__force struct count __percpu *)data;

	counts += slot << 6 | (state->hook & 7) << 3 | action_of(verdict);
	this_cpu_inc(counts->packets);
	if (skb)
		this_cpu_add(counts->bytes, skb->len);
}

static void ipt_probe(void *data, const struct sk_buff *skb,
		      const struct nf_hook_state *state, const struct xt_table *table,
		      const struct ipt_entry *rule, unsigned int verdict)
{
	count(data, skb, state, table_of(table), verdict);
}

static void ip6t_probe(void *data, const struct sk_buff *skb,
		       const struct nf_hook_state *state, const struct xt_table *table,
		       const struct ip6t_entry *rule, unsigned int verdict)
{
	count(data, skb, state, table_of(table), verdict);
}

static void arpt_probe(void *data, const struct sk_buff *skb,
		       const struct nf_hook_state *state, const struct xt_table *table,
		       const struct arpt_entry *rule, unsigned int verdict)
{
	count(data, skb, state, table_of(table), verdict);
}

static void nft_probe(void *data, const struct sk_buff *skb,
		      const struct nf_hook_state *state, const struct nft_chain *chain,
		      const struct nft_rule_dp *rule, unsigned int verdict)
{
	count(data, skb, state, family_of(state), verdict);
}

static struct count __percpu *counters[4];

static void ipt_ref_free(void)
{
	unsigned int i;

	tracepoint_synchronize_unregister();
	for (i = 0; i < ARRAY_SIZE(counters); i++)
		free_percpu(counters[i]);
}

static int __init ipt_ref_init(void)
{
	int err = -ENOMEM;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		counters[i] = __alloc_percpu(COUNTS * sizeof(struct count),
					     __alignof__(struct count));
		if (!counters[i])
			goto free;
	}

	err = register_trace_ipt_verdict(ipt_probe, (__force void *)counters[0]);
	if (err)
		goto free;
	err = register_trace_ip6t_verdict(ip6t_probe, (__force void *)counters[1]);
	if (err)
		goto unregister_ipt;
	err = register_trace_arpt_verdict(arpt_probe, (__force void *)counters[2]);
	if (err)
		goto unregister_ip6t;
	err = register_trace_nft_verdict(nft_probe, (__force void *)counters[3]);
	if (err)
		goto unregister_arpt;
	return 0;

unregister_arpt:
	unregister_trace_arpt_verdict(arpt_probe, (__force void *)counters[2]);
unregister_ip6t:
	unregister_trace_ip6t_verdict(ip6t_probe, (__force void *)counters[1]);
unregister_ipt:
	unregister_trace_ipt_verdict(ipt_probe, (__force void *)counters[0]);
free:
	ipt_ref_free();
	return err;
}

static void __exit ipt_ref_exit(void)
{
	unregister_trace_nft_verdict(nft_probe, (__force void *)counters[3]);
	unregister_trace_arpt_verdict(arpt_probe, (__force void *)counters[2]);
	unregister_trace_ip6t_verdict(ip6t_probe, (__force void *)counters[1]);
	unregister_trace_ipt_verdict(ipt_probe, (__force void *)counters[0]);
	ipt_ref_free();
}

module_init(ipt_ref_init);
module_exit(ipt_ref_exit);

MODULE_DESCRIPTION("Counts the verdicts of iptables and nftables: the C reference implementation");
MODULE_LICENSE("GPL");
