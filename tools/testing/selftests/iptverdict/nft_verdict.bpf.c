// SPDX-License-Identifier: GPL-2.0
/* Counts verdicts of nftables, and those of policies, in a raw_tp and in a tp_btf program. */

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "counts.bpf.h"

/* Defined in modules, so vmlinux.h lacks them. */
struct nft_chain;
struct nft_rule_dp;

SEC("raw_tp/nft_verdict")
int count_raw(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *skb = (struct sk_buff *)ctx->args[0];

	return add(&raw_counts, ctx->args[4], skb ? BPF_CORE_READ(skb, len) : 0, !ctx->args[3]);
}

SEC("tp_btf/nft_verdict")
int BPF_PROG(count_btf, struct sk_buff *skb, struct nf_hook_state *state,
	     struct nft_chain *chain, struct nft_rule_dp *rule, unsigned int verdict)
{
	return add(&btf_counts, verdict, skb ? skb->len : 0, !rule);
}

char _license[] SEC("license") = "GPL";
