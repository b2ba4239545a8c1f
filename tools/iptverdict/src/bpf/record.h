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
};

/* What a decision is about: all of it but addresses. Also the key of the counts. */
struct decision {
	/* The network namespace. A cookie is never used again; an inode number is. */
	__u64 netns_cookie;
	/* The ruleset that the kernel numbers; of nftables, the handle of the table. */
	__u64 ruleset;
	/* The offset of the rule in the ruleset; its handle. 0 for a policy of nftables. */
	__u64 rule;
	/* The handle of the base chain, of nftables. */
	__u64 chain;
	__u32 netns;
	__u8 event;
	__u8 pf;
	__u8 hook;
	/* The action, without a queue number or an errno. */
	__u8 verdict;
	/* The family of the table; that of the packet is pf. */
	__u8 family;
	__u8 policy;
	/* The ruleset was replaced between the verdict and the event: the rule is unknown. */
	__u8 replaced;
	__u8 reserved[5];
};

struct names {
	/* The address of the struct xt_table, for current_ruleset(). */
	__u64 object;
	char table[NAME_LEN];
	/* Of nftables. */
	char chain[NAME_LEN];
};

/* A line of watch. */
struct record {
	struct decision decision;
	struct names names;
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

/* A source address, for top. */
struct source {
	__u8 address[16];
	__u64 netns_cookie;
	__u32 netns;
	__u32 pf;
};

struct filter {
	/* A bit for each verdict. */
	__u32 verdicts;
	/* Inode number of a network namespace. */
	__u32 netns;
	__u32 mark;
	__u32 mark_mask;
	/* A bit for each hook that is a chain of this name, of iptables and ip6tables; of arptables. */
	__u8 hooks;
	__u8 arp_hooks;
	__u8 protocol;
	__u8 has_netns;
	__u8 has_mark;
	__u8 has_table;
	__u8 has_chain;
	__u8 has_in;
	__u8 has_out;
	__u8 has_source;
	__u8 has_destination;
	__u8 has_protocol;
	__u8 has_port;
	__u8 reserved;
	__u16 port;
	char table[NAME_LEN];
	char chain[NAME_LEN];
	char in[IFNAME_LEN];
	char out[IFNAME_LEN];
	/* IPv4 addresses as ::ffff:a.b.c.d. */
	__u64 source[2];
	__u64 source_mask[2];
	__u64 destination[2];
	__u64 destination_mask[2];
};

/* The argument of current_ruleset(). */
struct query {
	__u64 table;
	__u64 ruleset;
};

#endif
