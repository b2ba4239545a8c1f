/* SPDX-License-Identifier: GPL-2.0 */
/* Counts packets by verdict, per CPU. */

#ifndef COUNTS_BPF_H
#define COUNTS_BPF_H

/* The low byte of a verdict is the action. Actions above STOP share a key. */
#define NF_VERDICT_MASK	0xff
#define NR_VERDICTS	7

struct count {
	__u64 packets;
	__u64 bytes;
	/* Packets that an event has as NULL, or verdicts by a policy. */
	__u64 special;
};

struct counts {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_VERDICTS);
	__type(key, __u32);
	__type(value, struct count);
};

struct counts raw_counts SEC(".maps");
struct counts btf_counts SEC(".maps");

static __always_inline int add(void *counts, unsigned int verdict, unsigned int len, bool special)
{
	__u32 key = verdict & NF_VERDICT_MASK;
	struct count *count;

	if (key >= NR_VERDICTS)
		key = NR_VERDICTS - 1;
	count = bpf_map_lookup_elem(counts, &key);
	if (!count)
		return 0;
	count->packets++;
	count->bytes += len;
	count->special += special;
	return 0;
}

#endif
