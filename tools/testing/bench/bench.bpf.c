// SPDX-License-Identifier: GPL-2.0
/*
 * The BPF programs of the bench: one body, for each mechanism that sees verdicts.
 *
 * Built once for each mechanism: HOOK names the section, by which libbpf knows where
 * to attach; VIA_* says which arguments the program gets there. The body increments
 * one per-CPU variable; with COUNT, it counts packets and bytes by table, hook and
 * verdict as the module does, as far as the mechanism sees these. Fields are read in
 * the cheapest way that the mechanism allows.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define NF_STOLEN	2
#define NF_MAX_VERDICT	5

struct count {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
#ifdef COUNT
	__uint(max_entries, 512); /* three bits each for table, hook and verdict */
#else
	__uint(max_entries, 1);
#endif
	__type(key, __u32);
	__type(value, struct count);
} hits SEC(".maps");

static __always_inline int add(__u32 key, __u32 bytes)
{
	struct count *count = bpf_map_lookup_elem(&hits, &key);

	if (count) {
		count->packets++;
#ifdef COUNT
		count->bytes += bytes;
#endif
	}
	return 0;
}

#ifdef COUNT

/* Defined in a module, hence not in vmlinux.h. */
struct xt_table {
	char name[32];
} __attribute__((preserve_access_index));

/* By the third letter of the name, which differs between tables. */
#define slot(name)	(((name)[2] >> 1 & 7) << 6)
#define hook_bits(hook)	(((hook) & 7) << 3)

#ifdef VIA_BTF

/* The verifier treats every argument of a module's event as possibly NULL. */
static __always_inline __u32 table_hook(const struct xt_table *table,
					const struct nf_hook_state *state)
{
	return table && state ? slot(table->name) | hook_bits(state->hook) : 0;
}

static __always_inline __u32 length(const struct sk_buff *skb)
{
	return skb ? skb->len : 0;
}

#elif defined(PROBE_READ)

/* For kernels that cannot cast to any memory. */
static __always_inline __u32 table_hook(const struct xt_table *table,
					const struct nf_hook_state *state)
{
	char name[3];

	bpf_core_read(name, sizeof(name), &table->name);
	return slot(name) | hook_bits(BPF_CORE_READ(state, hook));
}

static __always_inline __u32 length(const struct sk_buff *skb)
{
	return skb ? BPF_CORE_READ(skb, len) : 0;
}

#else

static __always_inline __u32 table_hook(const void *table, const struct nf_hook_state *state)
{
	const char *name = bpf_rdonly_cast(table + bpf_core_field_offset(struct xt_table, name), 0);

	return slot(name) | hook_bits(bpf_core_cast(state, struct nf_hook_state)->hook);
}

static __always_inline __u32 length(const struct sk_buff *skb)
{
	return skb ? bpf_core_cast(skb, struct sk_buff)->len : 0;
}

#endif

static __always_inline int count(__u32 table_hook, __u32 verdict, __u32 bytes)
{
	verdict &= 0xff;
	if (verdict > NF_MAX_VERDICT)
		verdict = NF_MAX_VERDICT + 1;
	return add(table_hook | verdict, bytes);
}

#else

#define table_hook(table, state)		0
#define length(skb)				0
#define count(table_hook, verdict, bytes)	add(0, 0)

#endif

#if defined(VIA_RAW)

SEC(HOOK)
int bench(struct bpf_raw_tracepoint_args *ctx)
{
	return count(table_hook((void *)ctx->args[2], (void *)ctx->args[1]), ctx->args[4],
		     length((void *)ctx->args[0]));
}

#elif defined(VIA_BTF)

struct xt_table;
struct ipt_entry;

SEC(HOOK)
int BPF_PROG(bench, struct sk_buff *skb, struct nf_hook_state *state,
	     struct xt_table *table, struct ipt_entry *rule, unsigned int verdict)
{
	return count(table_hook(table, state), verdict, length(skb));
}

#elif defined(VIA_EVENT)

/* Only the fields that are used here. */
struct trace_event_raw_ipt_verdict {
	char table[16];
	__u8 hook;
	__u8 verdict;
	__u32 len;
} __attribute__((preserve_access_index));

SEC(HOOK)
int bench(struct trace_event_raw_ipt_verdict *event)
{
	return count(slot(event->table) | hook_bits(event->hook), event->verdict, event->len);
}

#elif defined(VIA_ENTRY)

SEC(HOOK)
int BPF_PROG(bench, void *table, struct sk_buff *skb, struct nf_hook_state *state)
{
	return count(table_hook(table, state), 0, length(skb));
}

#elif defined(VIA_EXIT)

SEC(HOOK)
int BPF_PROG(bench, void *table, struct sk_buff *skb, struct nf_hook_state *state,
	     unsigned int verdict)
{
	/* A stolen packet may already be freed. */
	return count(table_hook(table, state), verdict, verdict == NF_STOLEN ? 0 : length(skb));
}

#elif defined(VIA_KPROBE)

SEC(HOOK)
int BPF_KPROBE(bench, void *table, struct sk_buff *skb, struct nf_hook_state *state)
{
	return count(table_hook(table, state), 0, length(skb));
}

#elif defined(VIA_KRETPROBE)

SEC(HOOK)
int BPF_KRETPROBE(bench, unsigned int verdict)
{
	return count(0, verdict, 0);
}

#elif defined(VIA_SESSION)

SEC(HOOK)
int BPF_KPROBE(bench, void *table, struct sk_buff *skb, struct nf_hook_state *state)
{
	__u64 *cookie = bpf_session_cookie(ctx);

	if (bpf_session_is_return(ctx))
		return count(*cookie, PT_REGS_RC(ctx), 0);
	*cookie = table_hook(table, state);
	return 0;
}

#endif

char _license[] SEC("license") = "GPL";
