/* SPDX-License-Identifier: GPL-2.0 */
/* What ipt_rule.bpf.c reports to ipt_rule.c for each dropped packet. */

struct drop {
	char table[32];
	char target[29];
	char comment[64];
	__u32 hook;
};
