// SPDX-License-Identifier: GPL-2.0
/*
 * ipt_rule: prints each packet that iptables drops, with the target and the comment of the
 * deciding rule. Runs until it is interrupted.
 */
#include <signal.h>
#include <stdio.h>
#include <linux/types.h>

#include <bpf/libbpf.h>

#include "ipt_rule.h"
#include "ipt_rule.skel.h"

static volatile sig_atomic_t done;

static void stop(int signal)
{
	(void)signal;
	done = 1;
}

static int show(void *context, void *data, size_t size)
{
	static const char * const chains[] = {
		"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING",
	};
	const struct drop *drop = data;

	(void)context;
	(void)size;
	printf("%-8s %-11s %-10s %s\n", drop->table, chains[drop->hook % 5],
	       drop->target[0] ? drop->target : "DROP", drop->comment);
	return 0;
}

int main(void)
{
	struct ipt_rule_bpf *skeleton = ipt_rule_bpf__open_and_load();
	struct ring_buffer *ring = NULL;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGINT, stop);
	signal(SIGTERM, stop);

	if (skeleton && !ipt_rule_bpf__attach(skeleton))
		ring = ring_buffer__new(bpf_map__fd(skeleton->maps.drops), show, NULL, NULL);
	if (!ring) {
		fprintf(stderr, "ipt_rule: cannot attach: is ip_tables loaded, with the event?\n");
		return 1;
	}
	printf("%-8s %-11s %-10s %s\n", "TABLE", "CHAIN", "TARGET", "COMMENT");
	while (!done)
		ring_buffer__poll(ring, 100);

	ring_buffer__free(ring);
	ipt_rule_bpf__destroy(skeleton);
	return 0;
}
