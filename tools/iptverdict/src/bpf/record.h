/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs and the command exchange.
 */

#ifndef RECORD_H
#define RECORD_H

#define NAME_LEN	32
#define IFNAME_LEN	16
/* IPv6 with extension headers and a TCP header, or ARP. */
#define PACKET_LEN	96
#define ETH_HLEN	14

/* Which event, in the order of the programs. */
enum event {
	IPT,
	IP6T,
	ARPT,
	NFT,
	NR_EVENTS,
};

/* What identifies a decision: the key of the counts. */
struct decision {
	/* The network namespace: this number is never used again. */
	__u64 netns_cookie;
	/* The ruleset that the kernel numbers; of nftables, the handle of the table. */
	__u64 ruleset;
	/* The offset of the rule in the ruleset; its handle. 0 for a policy of nftables. */
	__u64 rule;
	/* The handle of the base chain, of nftables. */
	__u64 chain;
	__u8 event;
	__u8 hook;
	/* The action, without a queue number or an errno. */
	__u8 verdict;
	/* The ruleset was replaced between the verdict and the event: the rule is unknown. */
	__u8 replaced;
	__u8 reserved[4];
};

/* What follows from a decision. */
struct details {
	/* The address of the struct xt_table, for current_ruleset(). */
	__u64 object;
	char table[NAME_LEN];
	/* Of nftables. */
	char chain[NAME_LEN];
	/* The inode number of the network namespace. */
	__u32 netns;
	/* The protocol family of the hook, and of nftables that of the table. */
	__u8 pf;
	__u8 family;
	/* No rule decided. */
	__u8 policy;
	__u8 reserved;
};

/* A line of watch. */
struct record {
	struct decision decision;
	struct details details;
	/* CLOCK_MONOTONIC, in nanoseconds. */
	__u64 time;
	char in[IFNAME_LEN];
	char out[IFNAME_LEN];
	__u32 mark;
	__u32 len;
	/* The queue number, or the errno of a drop. */
	__u16 detail;
	__u8 bypass;
	/* 255 for a packet that conntrack has not seen, or found invalid. */
	__u8 ctstate;
	__u16 protocol;
	/* How many bytes of the packet are here, from the network header on. */
	__u8 captured;
	__u8 has_mac;
	__u8 mac[ETH_HLEN];
	__u8 packet[PACKET_LEN];
	__u8 reserved[2];
};

/* Both per CPU. */
struct count {
	__u64 packets;
	__u64 bytes;
};

/*
 * The counts of each event begin in an array, where a decision finds its place without the hash
 * function of a map. The first decision in a place keeps it; others are in the map.
 */
#define PLACES	512

struct place {
	struct decision decision;
	struct count count;
};

/*
 * The totals of an event: a slot for each table of iptables, or each family of nftables, and one
 * for all others; in a slot eight hooks, with eight verdicts each.
 */
#define NR_TABLES	5
#define NR_FAMILIES	6
#define OTHER		6
#define TOTALS		(8 * 8 * 8)

/* A source address, for top. */
struct source {
	__u64 address[2];
	__u64 netns_cookie;
	__u32 netns;
	/* No other program writes to this count. */
	__u8 event;
	/* The packet has an address: it is not stolen, and IP or ARP. */
	__u8 has_address;
	__u8 reserved[2];
};

enum filtered {
	BY_NETNS	= 1 << 0,
	BY_MARK		= 1 << 1,
	BY_TABLE	= 1 << 2,
	BY_CHAIN	= 1 << 3,
	BY_IN		= 1 << 4,
	BY_OUT		= 1 << 5,
	BY_SOURCE	= 1 << 6,
	BY_DESTINATION	= 1 << 7,
	BY_PROTOCOL	= 1 << 8,
	BY_PORT		= 1 << 9,
	/* Addresses are of IPv4, or of IPv6. */
	BY_IPV4		= 1 << 10,
	BY_IPV6		= 1 << 11,
};

/* A name, in words, and which bytes of it count. A device has the first two words. */
struct pattern {
	__u64 name[NAME_LEN / 8];
	__u64 mask[NAME_LEN / 8];
};

struct filter {
	/* A bit for each verdict. */
	__u32 verdicts;
	__u32 mark;
	__u32 mark_mask;
	__u64 netns_cookie;
	/* A bit for each hook that is a chain of this name, of iptables and ip6tables; of arptables. */
	__u8 hooks;
	__u8 arp_hooks;
	__u8 protocol;
	__u8 reserved;
	/* In network byte order. */
	__u16 port;
	__u16 reserved2;
	/* Which of the other fields are set. */
	enum filtered by;
	struct pattern table;
	struct pattern chain;
	struct pattern in;
	struct pattern out;
	/* In network byte order; an IPv4 address is the last word. */
	__u32 source[4];
	__u32 source_mask[4];
	__u32 destination[4];
	__u32 destination_mask[4];
};

/* The argument of current_ruleset(). */
struct query {
	__u64 table;
	__u64 ruleset;
};

#endif
