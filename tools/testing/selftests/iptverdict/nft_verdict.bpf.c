// SPDX-License-Identifier: GPL-2.0
/* Counts verdicts of nftables, and those of policies, in a raw_tp and in a tp_btf program. */

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Defined in modules, so vmlinux.h lacks them. */
struct nft_chain;
struct nft_rule_dp;

/* The low byte of a verdict is the action. Actions above STOP share a key. */
#define NF_VERDICT_MASK	0xff
#define NR_VERDICTS	7

struct count {
	__u64 packets;
	__u64 bytes;
	__u64 by_policy;
};

struct counts {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_VERDICTS);
	__type(key, __u32);
	__type(value, struct count);
};

struct counts raw_counts SEC(".maps");
struct counts btf_counts SEC(".maps");

static __always_inline struct count *find(void *counts, unsigned int verdict)
{
	__u32 key = verdict & NF_VERDICT_MASK;

	if (key >= NR_VERDICTS)
		key = NR_VERDICTS - 1;
	return bpf_map_lookup_elem(counts, &key);
}

SEC("raw_tp/nft_verdict")
int count_raw(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *skb = (struct sk_buff *)ctx->args[0];
	struct count *count = find(&raw_counts, ctx->args[4]);

	if (!count)
		return 0;
	count->packets++;
	if (skb)
		count->bytes += BPF_CORE_READ(skb, len);
	if (!ctx->args[3])
		count->by_policy++;
	return 0;
}

SEC("tp_btf/nft_verdict")
int BPF_PROG(count_btf, struct sk_buff *skb, struct nf_hook_state *state,
	     struct nft_chain *chain, struct nft_rule_dp *rule, unsigned int verdict)
{
	struct count *count = find(&btf_counts, verdict);

	if (!count)
		return 0;
	count->packets++;
	if (skb)
		count->bytes += skb->len;
	if (!rule)
		count->by_policy++;
	return 0;
}

char _license[] SEC("license") = "GPL";
