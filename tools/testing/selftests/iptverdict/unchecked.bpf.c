// SPDX-License-Identifier: GPL-2.0
/* Does not check the packet for NULL: the verifier must reject it. */

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

__u64 bytes;

SEC("tp_btf/ipt_verdict")
int BPF_PROG(unchecked, struct sk_buff *skb)
{
	bytes += skb->len;
	return 0;
}

char _license[] SEC("license") = "GPL";
