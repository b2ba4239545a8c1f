/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The types of the kernel, with only the fields that the programs read. libbpf adjusts the
 * offsets to the running kernel (CO-RE), also those of types that modules define.
 */

#ifndef KERNEL_H
#define KERNEL_H

#include <stdbool.h>
#include <stddef.h>

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
};

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_RINGBUF = 27,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
	__u64 net_cookie;
};

struct net_device {
	char name[16];
	unsigned short type;
};

struct sk_buff {
	unsigned int len;
	unsigned long _nfct;
	__u32 mark;
	__be16 protocol;
	__u16 network_header;
	__u16 mac_header;
	__u32 tail;
	unsigned char *head;
};

struct new_utsname {
	char sysname[65];
};

struct iphdr {
	__be16 frag_off;
	__u8 protocol;
	__be32 saddr;
	__be32 daddr;
};

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
};

struct ipv6hdr {
	__u8 nexthdr;
	struct in6_addr saddr;
	struct in6_addr daddr;
};

struct nf_hook_state {
	__u8 hook;
	__u8 pf;
	struct net_device *in;
	struct net_device *out;
	struct net *net;
};

struct xt_table_info {
	unsigned int size;
	unsigned int underflow[5];
	__u64 cookie;
	unsigned char entries[];
};

struct xt_table {
	struct xt_table_info *private;
	char name[32];
};

struct nft_table {
	__u64 handle;
	__u16 family:6,
	      flags:8,
	      genmask:2;
	char *name;
};

struct nft_chain {
	struct nft_table *table;
	__u64 handle;
	char *name;
};

struct nft_rule_dp {
	__u64 is_last:1,
	      dlen:12,
	      handle:42;
};

#pragma clang attribute pop

/* An ARP packet of Ethernet and IPv4. */
struct arp {
	__be16 hardware, protocol;
	__u8 hardware_len, protocol_len;
	__be16 operation;
	__u8 source_mac[6];
	__be32 source;
	__u8 destination_mac[6];
	__be32 destination;
} __attribute__((packed));

#define NF_DROP		0
#define NF_ACCEPT	1
#define NF_QUEUE	3

#define NFPROTO_IPV4	2
#define NFPROTO_ARP	3
#define NFPROTO_IPV6	10

#define ARPHRD_ETHER	1

#define ETH_P_IP	0x0800
#define ETH_P_ARP	0x0806
#define ETH_P_IPV6	0x86dd

#endif
