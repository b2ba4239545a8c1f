// SPDX-License-Identifier: GPL-2.0
/* One per-CPU increment, on whatever calls it: the price of the way there. */

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

/* HOOK: the name of a section, which says to libbpf what to attach to. */
SEC(HOOK)
int hit(void *ctx)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&hits, &key);

	if (value)
		(*value)++;
	return 0;
}

char _license[] SEC("license") = "GPL";
