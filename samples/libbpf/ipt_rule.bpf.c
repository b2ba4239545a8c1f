// SPDX-License-Identifier: GPL-2.0
/*
 * Reports each packet that iptables drops, with the target of the deciding rule and its
 * comment (-m comment), both read from the rule.
 */

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "ipt_rule.h"

#define NF_VERDICT_MASK	0xff
#define NF_DROP		0
#define MAX_MATCHES	16

/*
 * vmlinux.h lacks the types of modules. These have only the fields that are used here; libbpf
 * adjusts their offsets to the running kernel (CO-RE).
 */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct xt_table {
	char name[32];
};

struct ipt_entry {
	__u16 target_offset;
	unsigned char elems[];
};

struct xt_match {
	char name[29];
};

struct xt_target {
	char name[29];
};

struct xt_entry_match {
	union {
		struct {
			__u16 match_size;
			struct xt_match *match;
		} kernel;
	} u;
	unsigned char data[];
};

struct xt_entry_target {
	union {
		struct {
			__u16 target_size;
			struct xt_target *target;
		} kernel;
	} u;
};

#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} drops SEC(".maps");

static bool is_comment(const struct xt_entry_match *match)
{
	char name[8];

	BPF_CORE_READ_STR_INTO(&name, match, u.kernel.match, name);
	return !bpf_strncmp(name, sizeof(name), "comment");
}

SEC("tp_btf/ipt_verdict")
int BPF_PROG(ipt_rule, struct sk_buff *skb, struct nf_hook_state *state,
	     struct xt_table *table, struct ipt_entry *rule, unsigned int verdict)
{
	const void *at, *target;
	struct drop *drop;
	int i;

	/* The verifier treats every argument of a module's event as possibly NULL. */
	if (!state || !table || !rule)
		return 0;
	if ((verdict & NF_VERDICT_MASK) != NF_DROP)
		return 0;
	at = (void *)rule + bpf_core_field_offset(struct ipt_entry, elems);
	target = (void *)rule + rule->target_offset;
	drop = bpf_ringbuf_reserve(&drops, sizeof(*drop), 0);
	if (!drop)
		return 0;

	drop->hook = state->hook;
	BPF_CORE_READ_STR_INTO(&drop->table, table, name);
	/* The name is empty for the standard target, that is, for DROP and the policy. */
	BPF_CORE_READ_STR_INTO(&drop->target, (struct xt_entry_target *)target,
			       u.kernel.target, name);
	drop->comment[0] = 0;
	for (i = 0; i < MAX_MATCHES && at < target; i++) {
		const struct xt_entry_match *match = at;

		if (is_comment(match)) {
			at += bpf_core_field_offset(struct xt_entry_match, data);
			bpf_probe_read_kernel_str(drop->comment, sizeof(drop->comment), at);
			break;
		}
		at += BPF_CORE_READ(match, u.kernel.match_size);
	}
	bpf_ringbuf_submit(drop, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
