// SPDX-License-Identifier: GPL-2.0
/*
 * A program for each verdict event. It compares the packet with the filter, and then either
 * reports it (watch), or counts it by decision (stats, top), by source (top --by sources) or by
 * table, hook and verdict (export).
 *
 * Context: that of the event, often a softirq.
 */

#include "kernel.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "record.h"

#define NF_VERDICT_MASK		0xff
#define NF_VERDICT_QBITS	16
#define NF_QUEUE_BYPASS		0x8000
#define NFCT_INFOMASK		7UL
#define CT_NONE			255
#define IP_OFFSET		0x1fff
#define MAX_EXTENSIONS		4
#define IPV6_HEADER_LEN		40
#define BY_HEADER		(BY_SOURCE | BY_DESTINATION | BY_PROTOCOL | BY_PORT)
#define GOLDEN_RATIO_64		0x61c8864680b583ebULL

enum mode {
	WATCH,
	COUNT,
	COUNT_SOURCES,
	COUNT_TOTALS,
};

/* The command sets these before it loads the programs, so the verifier drops what they exclude. */
const volatile __u32 mode = WATCH;
const volatile struct filter filter = { .verdicts = ~0U };
/* The slots of the totals: the first characters of the names of tables, and protocol families. */
const volatile __u64 tables[NR_TABLES];
const volatile __u8 families[NR_FAMILIES];

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

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_EVENTS * PLACES);
	__type(key, __u32);
	__type(value, struct place);
} places SEC(".maps");

/* The details of each decision. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct decision);
	__type(value, struct details);
	__uint(map_flags, 1);
} details SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct source);
	__type(value, struct count);
	__uint(map_flags, 1);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_EVENTS * TOTALS);
	__type(key, __u32);
	__type(value, struct count);
} totals SEC(".maps");

/* The command reads these from the ring buffer. */
const struct record *unused_record __attribute__((unused));

/* Packets that found no space in the ring buffer, or in a full map, by event. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_EVENTS);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

/* Where the details of a decision are. */
struct origin {
	const struct nf_hook_state *state;
	const void *table;
	const char *table_name;
	/* Of nftables. */
	const char *chain_name;
	__u8 family;
	/* Of iptables. */
	const struct xt_table_info *private;
};

static __always_inline void lose(__u32 event)
{
	__u64 *count = bpf_map_lookup_elem(&lost, &event);

	if (count)
		(*count)++;
}

static __always_inline const void *network_header(const struct sk_buff *skb)
{
	return skb->head + skb->network_header;
}

/* An IPv4 address as the second half of ::ffff:a.b.c.d. */
static __always_inline __u64 v4mapped(__be32 address)
{
	return (__u64)address << 32 | bpf_htonl(0xffff);
}

static __always_inline __u64 half(const __be32 *words)
{
	return (__u64)words[1] << 32 | words[0];
}

static __always_inline bool same_ipv4(__be32 address, const volatile __u32 *network,
				      const volatile __u32 *mask)
{
	return (address & mask[3]) == network[3];
}

static __always_inline bool same_ipv6(const struct in6_addr *address,
				      const volatile __u32 *network, const volatile __u32 *mask)
{
	const __be32 *words = address->in6_u.u6_addr32;

	return (words[0] & mask[0]) == network[0] && (words[1] & mask[1]) == network[1] &&
	       (words[2] & mask[2]) == network[2] && (words[3] & mask[3]) == network[3];
}

/*
 * has - tests bits of filter.by
 *
 * The verifier knows @by, so it removes this instruction with the code that it excludes. Of a test
 * in C it would leave the AND.
 */
static __always_inline bool has(__u64 by, const __u32 bits)
{
	asm goto("if %[by] & %[bits] goto %l[yes]" : : [by] "r"(by), [bits] "i"(bits) : : yes);
	return false;
yes:
	return true;
}

/* text_at - the characters at an address that is not known to be valid */
static __always_inline const char *text_at(const void *at)
{
	/* A type that begins with an array of characters. */
	return bpf_core_cast(at, struct new_utsname)->sysname;
}

/* passes_port - compares the ports, where the transport header begins at @at */
static __always_inline bool passes_port(const void *at, __u64 by)
{
	__u32 ports;
	__u16 port;

	if (!has(by, BY_PORT))
		return true;
	/* Both at once: each load checks its address. */
	ports = *(const __u32 *)text_at(at);
	port = filter.port;
	return (__u16)ports == port || ports >> 16 == port;
}

/* passes_protocol - compares the protocol, which has to have ports to be compared by port */
static __always_inline bool passes_protocol(__u8 protocol, bool first_fragment, __u64 by)
{
	if (has(by, BY_PROTOCOL) && protocol != filter.protocol)
		return false;
	/* TCP, UDP, DCCP, SCTP, UDP-Lite. */
	return !has(by, BY_PORT) ||
	       (first_fragment && (protocol == 6 || protocol == 17 || protocol == 33 ||
				   protocol == 132 || protocol == 136));
}

/* Loads from a cast pointer need no call of a helper; where there is no memory they read zeroes. */
static __always_inline bool passes_ip(const void *at, __u64 by)
{
	const struct iphdr *ip;

	if (has(by, BY_SOURCE | BY_DESTINATION)) {
		ip = bpf_core_cast(at, struct iphdr);
		if (has(by, BY_SOURCE) &&
		    !same_ipv4(ip->saddr, filter.source, filter.source_mask))
			return false;
		if (has(by, BY_DESTINATION) &&
		    !same_ipv4(ip->daddr, filter.destination, filter.destination_mask))
			return false;
	}
	/* The low half of the first byte is the length of the header in words. */
	if (!passes_port(at + (*text_at(at) & 0xf) * 4, by))
		return false;
	if (!has(by, BY_PROTOCOL | BY_PORT))
		return true;
	ip = bpf_core_cast(at, struct iphdr);
	return passes_protocol(ip->protocol, !(ip->frag_off & bpf_htons(IP_OFFSET)), by);
}

/* Not inlined: its registers would cost packets of IPv4 instructions. */
static __noinline bool passes_ipv6(const void *at, __u64 by)
{
	const struct ipv6hdr *ip = bpf_core_cast(at, struct ipv6hdr);
	__u8 protocol = ip->nexthdr;
	bool first_fragment = true;
	int i;

	if (has(by, BY_SOURCE) &&
	    !same_ipv6(&ip->saddr, filter.source, filter.source_mask))
		return false;
	if (has(by, BY_DESTINATION) &&
	    !same_ipv6(&ip->daddr, filter.destination, filter.destination_mask))
		return false;
	if (!has(by, BY_PROTOCOL | BY_PORT))
		return true;
	at += IPV6_HEADER_LEN;
	/* Hop-by-hop options, routing, fragment, authentication, destination options. */
	for (i = 0; i < MAX_EXTENSIONS; i++) {
		struct { __u8 nexthdr, len; __be16 frag_off; } extension;

		if (protocol != 0 && protocol != 43 && protocol != 44 && protocol != 51 &&
		    protocol != 60)
			break;
		if (bpf_probe_read_kernel(&extension, sizeof(extension), at))
			return false;
		if (protocol == 44) {
			at += 8;
			if (extension.frag_off & bpf_htons(0xfff8))
				first_fragment = false;
		} else if (protocol == 51) {
			at += (extension.len + 2) * 4;
		} else {
			at += (extension.len + 1) * 8;
		}
		protocol = extension.nexthdr;
		/* What follows is not the beginning of a header. */
		if (!first_fragment)
			break;
	}
	return passes_port(at, by) && passes_protocol(protocol, first_fragment, by);
}

static __always_inline bool read_arp(struct arp *arp, const void *at)
{
	return !bpf_probe_read_kernel(arp, sizeof(*arp), at) && arp->hardware_len == 6 &&
	       arp->protocol_len == 4;
}

static __always_inline bool passes_arp(const void *at, __u64 by)
{
	struct arp arp;

	if (has(by, BY_PROTOCOL | BY_PORT) || !read_arp(&arp, at))
		return false;
	if (has(by, BY_SOURCE) &&
	    !same_ipv4(arp.source, filter.source, filter.source_mask))
		return false;
	return !has(by, BY_DESTINATION) ||
	       same_ipv4(arp.destination, filter.destination,
			    filter.destination_mask);
}

/*
 * passes_packet - whether verdict and packet pass the filter
 *
 * A stolen packet is gone, so it passes no filter for packets.
 */
static __always_inline bool passes_packet(const struct sk_buff *skb, unsigned int verdict,
					  __u64 by)
{
	if (!(filter.verdicts & 1U << (verdict & NF_VERDICT_MASK & 31)))
		return false;
	if (!has(by, BY_MARK | BY_HEADER))
		return true;
	if (!skb || (has(by, BY_MARK) && (skb->mark & filter.mark_mask) != filter.mark))
		return false;
	if (!has(by, BY_HEADER))
		return true;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return !has(by, BY_IPV6) && passes_ip(network_header(skb), by);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return !has(by, BY_IPV4) && passes_ipv6(network_header(skb), by);
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return !has(by, BY_IPV6) && passes_arp(network_header(skb), by);
	return false;
}

/*
 * same_name - compares a name of the kernel with one of the filter
 *
 * The mask leaves out what may follow the NUL byte.
 */
static __always_inline bool same_name(const char *name, const volatile struct pattern *wanted,
				      int words)
{
	const __u64 *word = (const __u64 *)name;
	int i;

	for (i = 0; i < words; i++)
		if ((word[i] & wanted->mask[i]) != wanted->name[i])
			return false;
	return true;
}

/* same_nft_name - the same for a name of nftables, which is a string of its own */
static __always_inline bool same_nft_name(const char *name, const volatile struct pattern *wanted)
{
	return same_name(text_at(name), wanted, NAME_LEN / 8);
}

static __always_inline bool same_device(const struct net_device *device,
					const volatile struct pattern *wanted)
{
	return device && same_name(device->name, wanted, IFNAME_LEN / 8);
}

static __always_inline bool passes_state(const struct nf_hook_state *state, __u64 by)
{
	if (!has(by, BY_NETNS | BY_IN | BY_OUT))
		return true;
	/* The verifier treats every argument of a module's event as possibly NULL. */
	if (!state)
		return false;
	if (has(by, BY_NETNS) && state->net->net_cookie != filter.netns_cookie)
		return false;
	if (has(by, BY_IN) && !same_device(state->in, &filter.in))
		return false;
	return !has(by, BY_OUT) || same_device(state->out, &filter.out);
}

static __always_inline void add(struct count *count, const struct sk_buff *skb)
{
	count->packets++;
	if (skb)
		count->bytes += skb->len;
}

/* new_count - makes a count in a map, if another CPU has not. It may be full. */
static __always_inline struct count *new_count(void *map, const void *key)
{
	struct count zero = {};

	bpf_map_update_elem(map, key, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(map, key);
}

static __always_inline bool read_source(__u64 *address, const struct sk_buff *skb)
{
	const void *at = network_header(skb);
	struct arp arp;

	switch (bpf_ntohs(skb->protocol)) {
	case ETH_P_IP:
		address[1] = v4mapped(bpf_core_cast(at, struct iphdr)->saddr);
		return true;
	case ETH_P_IPV6: {
		const struct ipv6hdr *ip = bpf_core_cast(at, struct ipv6hdr);

		address[0] = half(ip->saddr.in6_u.u6_addr32);
		address[1] = half(ip->saddr.in6_u.u6_addr32 + 2);
		return true;
	}
	case ETH_P_ARP:
		if (!read_arp(&arp, at))
			return false;
		address[1] = v4mapped(arp.source);
		return true;
	}
	return false;
}

static __always_inline void count_source(const struct sk_buff *skb,
					 const struct nf_hook_state *state, __u8 event)
{
	struct source source = {
		.netns_cookie = state->net->net_cookie,
		.netns = state->net->ns.inum,
		.event = event,
	};
	struct count *found;

	source.has_address = skb && read_source(source.address, skb);
	found = bpf_map_lookup_elem(&sources, &source);
	if (!found)
		found = new_count(&sources, &source);
	if (found)
		add(found, skb);
	else
		lose(event);
}

static __always_inline __u32 table_slot(const struct xt_table *table)
{
	__u32 slot;

	for (slot = 0; slot < NR_TABLES; slot++)
		if (*(const __u64 *)table->name == tables[slot])
			break;
	return slot;
}

static __always_inline __u32 family_slot(__u8 pf)
{
	__u32 slot;

	for (slot = 0; slot < NR_FAMILIES; slot++)
		if (pf == families[slot])
			break;
	return slot;
}

/* count_total - counts a verdict as the module does: in a place that does not depend on rulesets */
static __always_inline void count_total(const struct sk_buff *skb,
					const struct nf_hook_state *state, unsigned int verdict,
					__u32 event, __u32 slot)
{
	__u32 action = verdict & NF_VERDICT_MASK;
	struct count *count;
	__u32 at;

	if (action > OTHER)
		action = OTHER;
	at = event * TOTALS + (slot << 6 | (state->hook & 7) << 3 | action);
	count = bpf_map_lookup_elem(&totals, &at);
	if (count)
		add(count, skb);
}

static __always_inline void read_details(struct details *details, const struct origin *origin,
					 const struct decision *decision)
{
	const struct xt_table_info *private = origin->private;
	__u8 hook = decision->hook;

	__builtin_memset(details, 0, sizeof(*details));
	details->netns = origin->state->net->ns.inum;
	details->pf = origin->state->pf;
	details->family = origin->family;
	details->object = (__u64)origin->table;
	bpf_probe_read_kernel_str(details->table, sizeof(details->table), origin->table_name);
	if (origin->chain_name)
		bpf_probe_read_kernel_str(details->chain, sizeof(details->chain),
					  origin->chain_name);
	if (decision->event == NFT)
		details->policy = !decision->rule;
	else if (!decision->replaced && hook < 5)
		details->policy = decision->rule ==
				  BPF_CORE_READ(private, underflow[hook]);
}

static __always_inline bool same_decision(const struct decision *a, const struct decision *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;
	__u32 i;

	for (i = 0; i < sizeof(*a) / sizeof(*x); i++)
		if (x[i] != y[i])
			return false;
	return true;
}

/* other_count - finds the count of a decision that is not in its place, or is new */
static __noinline struct count *other_count(struct place *place, const struct decision *decision,
					    const struct origin *origin)
{
	struct count *found = bpf_map_lookup_elem(&decisions, decision);
	struct details values;

	if (found)
		return found;
	/* Whoever finds the count finds its details. */
	read_details(&values, origin, decision);
	if (bpf_map_update_elem(&details, decision, &values, BPF_ANY))
		return NULL;
	if (place->count.packets)
		return new_count(&decisions, decision);
	place->decision = *decision;
	return &place->count;
}

/*
 * count_decision - counts a decision
 *
 * No other program writes to the places of this event, and on a CPU this program does not run
 * while it runs.
 */
static __always_inline void count_decision(const struct sk_buff *skb,
					   const struct decision *decision,
					   const struct origin *origin)
{
	__u64 hash = decision->rule + (decision->ruleset << 16) + (decision->chain << 32) +
		     (decision->netns_cookie << 48);
	__u32 at = decision->event * PLACES + hash * GOLDEN_RATIO_64 / (~0ULL / PLACES + 1);
	struct place *place = bpf_map_lookup_elem(&places, &at);
	struct count *count;

	if (!place)
		return;
	if (place->count.packets && same_decision(&place->decision, decision))
		count = &place->count;
	else
		count = other_count(place, decision, origin);
	if (count)
		add(count, skb);
	else
		lose(decision->event);
}

static __always_inline void read_device(char *name, const struct net_device *device)
{
	if (!device || bpf_probe_read_kernel(name, IFNAME_LEN, device->name))
		__builtin_memset(name, 0, IFNAME_LEN);
}

static __always_inline void read_packet(struct record *record, const struct sk_buff *skb,
					const struct net_device *in)
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
	if (in && in->type == ARPHRD_ETHER && skb->mac_header != (__u16)~0 && skb->mac_header + ETH_HLEN <= skb->network_header &&
	    !bpf_probe_read_kernel(record->mac, ETH_HLEN, skb->head + skb->mac_header))
		record->has_mac = 1;
}

static __always_inline void report(const struct sk_buff *skb, const struct nf_hook_state *state,
				   unsigned int verdict, const struct decision *decision,
				   const struct origin *origin)
{
	struct record *record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);

	if (!record) {
		lose(decision->event);
		return;
	}
	record->decision = *decision;
	read_details(&record->details, origin, decision);
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
		read_packet(record, skb, state->in);
	bpf_ringbuf_submit(record, 0);
}

/* decided - reports or counts a decision whose packet passes the filter. */
static __always_inline void decided(const struct sk_buff *skb, const struct nf_hook_state *state,
				    unsigned int verdict, struct decision *decision,
				    struct origin *origin)
{
	if (mode == COUNT_SOURCES) {
		count_source(skb, state, decision->event);
		return;
	}
	origin->state = state;
	decision->netns_cookie = state->net->net_cookie;
	decision->hook = state->hook;
	decision->verdict = verdict;

	if (mode == COUNT)
		count_decision(skb, decision, origin);
	else
		report(skb, state, verdict, decision, origin);
}

/* Each event passes the packet, the state of the hook, and the verdict as its last argument. */
#define SKB(ctx)	((const struct sk_buff *)(ctx)[0])
#define STATE(ctx)	((const struct nf_hook_state *)(ctx)[1])
#define TABLE(ctx)	((const struct xt_table *)(ctx)[2])
#define CHAIN(ctx)	((const struct nft_chain *)(ctx)[2])
#define VERDICT(ctx)	((unsigned int)(ctx)[4])

static __always_inline bool xt_passes(unsigned long long *ctx, const volatile __u8 *hooks)
{
	__u64 by = filter.by;

	if (!passes_packet(SKB(ctx), VERDICT(ctx), by) || !passes_state(STATE(ctx), by))
		return false;
	if (has(by, BY_CHAIN) && (!STATE(ctx) || !(*hooks & 1U << (STATE(ctx)->hook & 7))))
		return false;
	return !has(by, BY_TABLE) ||
	       (TABLE(ctx) && same_name(TABLE(ctx)->name, &filter.table, NAME_LEN / 8));
}

static __always_inline bool nft_passes(unsigned long long *ctx)
{
	__u64 by = filter.by;

	if (!passes_packet(SKB(ctx), VERDICT(ctx), by) || !passes_state(STATE(ctx), by))
		return false;
	if (has(by, BY_CHAIN) &&
	    (!CHAIN(ctx) || !same_nft_name(CHAIN(ctx)->name, &filter.chain)))
		return false;
	return !has(by, BY_TABLE) ||
	       (CHAIN(ctx) && same_nft_name(CHAIN(ctx)->table->name, &filter.table));
}

/*
 * These two are not inlined: a packet that does not pass the filter then does not pay for their
 * registers and variables.
 */

static __noinline int xt_decided(unsigned long long *ctx, __u8 event)
{
	const struct nf_hook_state *state = STATE(ctx);
	const struct xt_table *table = TABLE(ctx);
	struct decision decision = { .event = event };
	struct origin origin = {};
	__u64 offset;

	if (!state || !table)
		return 0;
	if (mode == COUNT_TOTALS) {
		count_total(SKB(ctx), state, VERDICT(ctx), event, table_slot(table));
		return 0;
	}
	origin.table = table;
	origin.table_name = table->name;
	origin.private = table->private;
	offset = ctx[3] - (__u64)origin.private -
		 bpf_core_field_offset(struct xt_table_info, entries);
	decision.ruleset = origin.private->cookie;
	if (offset < origin.private->size)
		decision.rule = offset;
	else
		decision.replaced = 1;
	decided(SKB(ctx), state, VERDICT(ctx), &decision, &origin);
	return 0;
}

static __noinline int nft_decided(unsigned long long *ctx)
{
	const struct nf_hook_state *state = STATE(ctx);
	const struct nft_chain *chain = CHAIN(ctx);
	const struct nft_rule_dp *rule = (const struct nft_rule_dp *)ctx[3];
	struct decision decision = { .event = NFT };
	struct origin origin = {};

	if (!state || !chain)
		return 0;
	if (mode == COUNT_TOTALS) {
		count_total(SKB(ctx), state, VERDICT(ctx), NFT, family_slot(state->pf));
		return 0;
	}
	origin.table = chain->table;
	origin.table_name = chain->table->name;
	origin.chain_name = chain->name;
	origin.family = BPF_CORE_READ_BITFIELD(chain->table, family);
	decision.ruleset = chain->table->handle;
	decision.chain = chain->handle;
	/* Handles of rules begin with 1; without a rule, the policy decided. */
	if (rule)
		decision.rule = BPF_CORE_READ_BITFIELD(rule, handle);
	decided(SKB(ctx), state, VERDICT(ctx), &decision, &origin);
	return 0;
}

SEC("tp_btf/ipt_verdict")
int ipt_verdict(unsigned long long *ctx)
{
	return xt_passes(ctx, &filter.hooks) ? xt_decided(ctx, IPT) : 0;
}

SEC("tp_btf/ip6t_verdict")
int ip6t_verdict(unsigned long long *ctx)
{
	return xt_passes(ctx, &filter.hooks) ? xt_decided(ctx, IP6T) : 0;
}

SEC("tp_btf/arpt_verdict")
int arpt_verdict(unsigned long long *ctx)
{
	return xt_passes(ctx, &filter.arp_hooks) ? xt_decided(ctx, ARPT) : 0;
}

SEC("tp_btf/nft_verdict")
int nft_verdict(unsigned long long *ctx)
{
	return nft_passes(ctx) ? nft_decided(ctx) : 0;
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
