// SPDX-License-Identifier: GPL-2.0
/*
 * A program for each verdict event. It compares the packet with the filter, and then either
 * reports it (watch), or counts it by decision (stats, top) or by source (top --by sources).
 *
 * Context: that of the event, often a softirq.
 */

#include "kernel.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "record.h"

#define NF_VERDICT_MASK		0xff
#define NF_VERDICT_QBITS	16
#define NF_QUEUE_BYPASS		0x8000
#define NFCT_INFOMASK		7UL
#define CT_NONE			255
#define IP_OFFSET		0x1fff
#define MAX_EXTENSIONS		4

enum mode {
	WATCH,
	COUNT,
	COUNT_SOURCES,
};

/* The command sets these before it loads the programs, so the verifier drops what they exclude. */
const volatile __u32 mode = WATCH;
const volatile struct filter filter = { .verdicts = ~0U };

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct decision);
	__type(value, struct count);
	__uint(map_flags, 1); /* BPF_F_NO_PREALLOC */
} decisions SEC(".maps");

/* The names of each decision. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct decision);
	__type(value, struct names);
	__uint(map_flags, 1);
} named SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct source);
	__type(value, struct count);
	__uint(map_flags, 1);
} sources SEC(".maps");

/* The command reads these from the ring buffer. */
const struct record *unused_record __attribute__((unused));

/* Packets that found no space in the ring buffer, or in a full map. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

/* The part of the packet that filters compare. */
struct header {
	__u64 source[2];
	__u64 destination[2];
	__u16 sport;
	__u16 dport;
	__u8 protocol;
	bool has_ports;
};

static __always_inline void lose(void)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&lost, &zero);

	if (count)
		(*count)++;
}

static __always_inline void set_v4mapped(__u64 *address, __be32 v4)
{
	address[0] = 0;
	((__u32 *)address)[2] = bpf_htonl(0xffff);
	((__u32 *)address)[3] = v4;
}

static __always_inline const void *network_header(const struct sk_buff *skb)
{
	return skb->head + skb->network_header;
}

/*
 * read_header - reads addresses, protocol and ports of an IP packet, or of an ARP packet the
 *               addresses
 *
 * Return: whether it is such a packet.
 */
static __always_inline bool read_header(const struct sk_buff *skb, struct header *header,
					bool ports)
{
	const void *at = network_header(skb);
	struct { __be16 source, dest; } port;

	__builtin_memset(header, 0, sizeof(*header));
	switch (bpf_ntohs(skb->protocol)) {
	case ETH_P_IP: {
		struct {
			__u8 version_ihl, tos;
			__be16 len, id, frag_off;
			__u8 ttl, protocol;
			__u16 check;
			__be32 saddr, daddr;
		} ip;

		if (bpf_probe_read_kernel(&ip, sizeof(ip), at))
			return false;
		set_v4mapped(header->source, ip.saddr);
		set_v4mapped(header->destination, ip.daddr);
		header->protocol = ip.protocol;
		header->has_ports = !(ip.frag_off & bpf_htons(IP_OFFSET));
		at += (ip.version_ihl & 0xf) * 4;
		break;
	}
	case ETH_P_IPV6: {
		struct {
			__u32 flow;
			__be16 len;
			__u8 nexthdr, hop_limit;
			__u64 addresses[4];
		} __attribute__((packed)) ip;
		int i;

		if (bpf_probe_read_kernel(&ip, sizeof(ip), at))
			return false;
		__builtin_memcpy(header->source, &ip.addresses[0], 16);
		__builtin_memcpy(header->destination, &ip.addresses[2], 16);
		header->protocol = ip.nexthdr;
		header->has_ports = true;
		at += sizeof(ip);
		/* Hop-by-hop options, routing, fragment, authentication, destination options. */
		for (i = 0; i < MAX_EXTENSIONS; i++) {
			struct { __u8 nexthdr, len; __be16 frag_off; } extension;

			if (header->protocol != 0 && header->protocol != 43 &&
			    header->protocol != 44 && header->protocol != 51 &&
			    header->protocol != 60)
				break;
			if (bpf_probe_read_kernel(&extension, sizeof(extension), at))
				return false;
			if (header->protocol == 44) {
				at += 8;
				if (extension.frag_off & bpf_htons(0xfff8))
					header->has_ports = false;
			} else if (header->protocol == 51) {
				at += (extension.len + 2) * 4;
			} else {
				at += (extension.len + 1) * 8;
			}
			header->protocol = extension.nexthdr;
		}
		break;
	}
	case ETH_P_ARP: {
		struct {
			__be16 hardware, protocol;
			__u8 hardware_len, protocol_len;
			__be16 operation;
			__u8 source_mac[6];
			__be32 source;
			__u8 destination_mac[6];
			__be32 destination;
		} __attribute__((packed)) arp;

		if (bpf_probe_read_kernel(&arp, sizeof(arp), at))
			return false;
		set_v4mapped(header->source, arp.source);
		set_v4mapped(header->destination, arp.destination);
		return true;
	}
	default:
		return false;
	}

	/* TCP, UDP, DCCP, SCTP, UDP-Lite. */
	if (header->protocol != 6 && header->protocol != 17 && header->protocol != 33 &&
	    header->protocol != 132 && header->protocol != 136)
		header->has_ports = false;
	if (!ports || !header->has_ports)
		return true;
	if (bpf_probe_read_kernel(&port, sizeof(port), at)) {
		header->has_ports = false;
		return true;
	}
	header->sport = bpf_ntohs(port.source);
	header->dport = bpf_ntohs(port.dest);
	return true;
}

static __always_inline bool same_network(const __u64 *address, const volatile __u64 *network,
					 const volatile __u64 *mask)
{
	return (address[0] & mask[0]) == network[0] && (address[1] & mask[1]) == network[1];
}

/* same_name - compares a name of the kernel with one of the filter, which zeroes pad. */
#define same_name(name, wanted) ({					\
	__u64 copy[sizeof(wanted) / 8] = {};				\
	const volatile __u64 *other = (const volatile __u64 *)(wanted);	\
	bool same = bpf_probe_read_kernel_str(copy, sizeof(wanted), name) > 0; \
	int i;								\
									\
	for (i = 0; i < sizeof(wanted) / 8; i++)			\
		same = same && copy[i] == other[i];			\
	same;								\
})

static __always_inline bool same_device(const struct net_device *device,
					const volatile char *wanted)
{
	return device && same_name(device->name, *(const volatile char (*)[IFNAME_LEN])wanted);
}

/* passes_packet - whether the packet passes the filter. A stolen one has no packet to compare. */
static __always_inline bool passes_packet(const struct sk_buff *skb)
{
	struct header header;

	if (!filter.has_mark && !filter.has_source && !filter.has_destination &&
	    !filter.has_protocol && !filter.has_port)
		return true;
	if (!skb)
		return false;
	if (filter.has_mark && (skb->mark & filter.mark_mask) != filter.mark)
		return false;
	if (!filter.has_source && !filter.has_destination && !filter.has_protocol &&
	    !filter.has_port)
		return true;
	if (!read_header(skb, &header, filter.has_port))
		return false;
	if (filter.has_protocol && header.protocol != filter.protocol)
		return false;
	if (filter.has_source && !same_network(header.source, filter.source, filter.source_mask))
		return false;
	if (filter.has_destination &&
	    !same_network(header.destination, filter.destination, filter.destination_mask))
		return false;
	return !filter.has_port ||
	       (header.has_ports &&
		(header.sport == filter.port || header.dport == filter.port));
}

static __always_inline bool passes_state(const struct nf_hook_state *state)
{
	if (filter.has_netns && state->net->ns.inum != filter.netns)
		return false;
	if (filter.has_in && !same_device(state->in, filter.in))
		return false;
	return !filter.has_out || same_device(state->out, filter.out);
}

static __always_inline bool passes_verdict(unsigned int verdict)
{
	__u32 action = verdict & NF_VERDICT_MASK;

	return filter.verdicts & 1U << (action & 31);
}

static __always_inline void add(struct count *count, const struct sk_buff *skb)
{
	count->packets++;
	if (skb)
		count->bytes += skb->len;
}

static __always_inline void count(const struct sk_buff *skb, void *map, const void *key,
				  const struct decision *decision, const struct names *names)
{
	struct count *found = bpf_map_lookup_elem(map, key);

	if (!found) {
		struct count zero = {};

		bpf_map_update_elem(map, key, &zero, BPF_NOEXIST);
		if (names)
			bpf_map_update_elem(&named, decision, names, BPF_ANY);
		found = bpf_map_lookup_elem(map, key);
		if (!found) {
			lose();
			return;
		}
	}
	add(found, skb);
}

static __always_inline void count_source(const struct sk_buff *skb,
					 const struct decision *decision)
{
	struct source source = {
		.netns_cookie = decision->netns_cookie,
		.netns = decision->netns,
		.pf = decision->pf,
	};
	struct header header;

	if (skb && read_header(skb, &header, false))
		__builtin_memcpy(source.address, header.source, sizeof(source.address));
	count(skb, &sources, &source, NULL, NULL);
}

static __always_inline void read_names(struct names *names, const void *object, const char *table,
				       const char *chain)
{
	__builtin_memset(names, 0, sizeof(*names));
	names->object = (__u64)object;
	bpf_probe_read_kernel_str(names->table, sizeof(names->table), table);
	if (chain)
		bpf_probe_read_kernel_str(names->chain, sizeof(names->chain), chain);
}

static __always_inline void read_device(char *name, const struct net_device *device)
{
	if (!device || bpf_probe_read_kernel(name, IFNAME_LEN, device->name))
		__builtin_memset(name, 0, IFNAME_LEN);
}

static __always_inline void read_packet(struct record *record, const struct sk_buff *skb)
{
	__u32 linear = skb->tail > skb->network_header ? skb->tail - skb->network_header : 0;

	record->mark = skb->mark;
	record->len = skb->len;
	record->protocol = bpf_ntohs(skb->protocol);
	if (skb->_nfct)
		record->ctstate = skb->_nfct & NFCT_INFOMASK;
	if (linear > PACKET_LEN)
		linear = PACKET_LEN;
	if (!bpf_probe_read_kernel(record->packet, linear, network_header(skb)))
		record->captured = linear;
	if (skb->mac_header != (__u16)~0 && skb->mac_header + ETH_HLEN <= skb->network_header &&
	    !bpf_probe_read_kernel(record->mac, ETH_HLEN, skb->head + skb->mac_header))
		record->has_mac = 1;
}

static __always_inline void report(const struct sk_buff *skb, const struct nf_hook_state *state,
				   unsigned int verdict, const struct decision *decision,
				   const void *table, const char *table_name, const char *chain)
{
	struct record *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);

	if (!record) {
		lose();
		return;
	}
	record->decision = *decision;
	read_names(&record->names, table, table_name, chain);
	record->time = bpf_ktime_get_ns();
	read_device(record->in, state->in);
	read_device(record->out, state->out);
	record->mark = 0;
	record->len = 0;
	record->detail = 0;
	record->bypass = 0;
	record->ctstate = CT_NONE;
	record->protocol = 0;
	record->captured = 0;
	record->has_mac = 0;
	if (decision->verdict == NF_QUEUE) {
		record->detail = verdict >> NF_VERDICT_QBITS;
		record->bypass = !!(verdict & NF_QUEUE_BYPASS);
	} else if (decision->verdict == NF_DROP) {
		record->detail = verdict >> NF_VERDICT_QBITS;
	}
	if (skb)
		read_packet(record, skb);
	bpf_ringbuf_submit(record, 0);
}

/* decided - reports or counts a decision whose packet passes the filter. */
static __always_inline void decided(const struct sk_buff *skb, const struct nf_hook_state *state,
				    unsigned int verdict, struct decision *decision,
				    const void *table, const char *table_name, const char *chain)
{
	decision->netns_cookie = state->net->net_cookie;
	decision->netns = state->net->ns.inum;
	decision->pf = state->pf;
	decision->hook = state->hook;
	decision->verdict = verdict;

	if (mode == COUNT_SOURCES) {
		count_source(skb, decision);
	} else if (mode == COUNT) {
		struct count *found = bpf_map_lookup_elem(&decisions, decision);

		/* The names are read once. */
		if (found) {
			add(found, skb);
		} else {
			struct names names;

			read_names(&names, table, table_name, chain);
			count(skb, &decisions, decision, decision, &names);
		}
	} else {
		report(skb, state, verdict, decision, table, table_name, chain);
	}
}

static __always_inline int xt_verdict(const struct sk_buff *skb, const struct nf_hook_state *state,
				      const struct xt_table *table, const void *rule,
				      unsigned int verdict, __u8 event, __u8 hooks)
{
	const struct xt_table_info *private;
	struct decision decision = { .event = event };
	__u64 offset;

	/* The verifier treats every argument of a module's event as possibly NULL. */
	if (!passes_verdict(verdict) || !state || !table)
		return 0;
	if (filter.has_chain && !(hooks & 1U << (state->hook & 7)))
		return 0;
	if (!passes_state(state) || !passes_packet(skb))
		return 0;
	if (filter.has_table && !same_name(table->name, filter.table))
		return 0;

	private = table->private;
	offset = (__u64)rule - (__u64)private -
		 bpf_core_field_offset(struct xt_table_info, entries);
	decision.family = state->pf;
	decision.ruleset = private->cookie;
	decision.rule = offset;
	if (offset >= private->size) {
		decision.rule = 0;
		decision.replaced = 1;
	} else if (state->hook < 5) {
		decision.policy = BPF_CORE_READ(private, underflow[state->hook]) == offset;
	}
	decided(skb, state, verdict, &decision, table, table->name, NULL);
	return 0;
}

SEC("tp_btf/ipt_verdict")
int BPF_PROG(ipt_verdict, struct sk_buff *skb, struct nf_hook_state *state,
	     struct xt_table *table, void *rule, unsigned int verdict)
{
	return xt_verdict(skb, state, table, rule, verdict, IPT, filter.hooks);
}

SEC("tp_btf/ip6t_verdict")
int BPF_PROG(ip6t_verdict, struct sk_buff *skb, struct nf_hook_state *state,
	     struct xt_table *table, void *rule, unsigned int verdict)
{
	return xt_verdict(skb, state, table, rule, verdict, IP6T, filter.hooks);
}

SEC("tp_btf/arpt_verdict")
int BPF_PROG(arpt_verdict, struct sk_buff *skb, struct nf_hook_state *state,
	     struct xt_table *table, void *rule, unsigned int verdict)
{
	return xt_verdict(skb, state, table, rule, verdict, ARPT, filter.arp_hooks);
}

SEC("tp_btf/nft_verdict")
int BPF_PROG(nft_verdict, struct sk_buff *skb, struct nf_hook_state *state,
	     struct nft_chain *chain, struct nft_rule_dp *rule, unsigned int verdict)
{
	struct decision decision = { .event = NFT };
	const struct nft_table *table;

	if (!passes_verdict(verdict) || !state || !chain)
		return 0;
	if (!passes_state(state) || !passes_packet(skb))
		return 0;
	table = chain->table;
	if (filter.has_table && !same_name(table->name, filter.table))
		return 0;
	if (filter.has_chain && !same_name(chain->name, filter.chain))
		return 0;

	decision.family = BPF_CORE_READ_BITFIELD(table, family);
	decision.ruleset = table->handle;
	decision.chain = chain->handle;
	if (rule)
		decision.rule = BPF_CORE_READ_BITFIELD(rule, handle);
	else
		decision.policy = 1;
	decided(skb, state, verdict, &decision, table, table->name, chain->name);
	return 0;
}

/* current_ruleset - looks up which ruleset a table of iptables has now */
SEC("syscall")
int current_ruleset(struct query *query)
{
	const struct xt_table *table = (const struct xt_table *)query->table;

	query->ruleset = BPF_CORE_READ(table, private, cookie);
	return 0;
}

char _license[] SEC("license") = "GPL";
