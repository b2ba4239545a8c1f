// SPDX-License-Identifier: GPL-2.0
/*
 * Calls ipt_do_table(), ip6t_do_table(), arpt_do_table() and, by its hook function,
 * nft_do_chain() in the network namespace of the process that reads a file in
 * /sys/kernel/debug/ipt_bench/:
 *
 * ipv4, ipv6, arp, nft	The cost of a call: the verdict; ticks of the time stamp counter
 *			per call, in the best, the median and the worst batch; cycles and
 *			instructions per 1,000 calls, "-" if the CPU does not count them.
 *			Under QEMU's -icount shift=0 a tick is an instruction.
 * parallel		The nanoseconds in which the first CPUs (parameter cpus) each make
 *			as many calls of ipt_do_table() as a read of ipv4, all at once.
 * plain, kprobed	Make the calls of one batch, in process context, or in a softirq
 *			that interrupts a kprobe handler. Show the number of calls.
 * plain_nft, kprobed_nft	The same for nft_do_chain().
 *
 * The packet traverses the input hook of the filter table, or of the first chain of
 * nftables there: 100 bytes of UDP from
 * 10.0.0.1 to 10.0.0.2 or from fd00::1 to fd00::2, or an ARP request of 10.0.0.1
 * for 10.0.0.2.
 */
#include <linux/debugfs.h>
#include <linux/if_arp.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/perf_event.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>
#include <linux/sort.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_arp/arp_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>

#define BATCHES		101
#define PACKET_LEN	100

static unsigned int calls = 200;
module_param(calls, uint, 0644);
MODULE_PARM_DESC(calls, "Calls in each of the 101 batches");

static unsigned int cpus = 1;
module_param(cpus, uint, 0644);
MODULE_PARM_DESC(cpus, "CPUs that make calls at once, for the file parallel");

static bool trace;
module_param(trace, bool, 0644);
MODULE_PARM_DESC(trace, "Mark packets as the target TRACE does");

static struct dentry *dir;

static void make_ipv4(struct sk_buff *skb)
{
	struct iphdr *ip = skb_put_zero(skb, PACKET_LEN);

	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tot_len = htons(PACKET_LEN);
	ip->ttl = 64;
	ip->protocol = IPPROTO_UDP;
	ip->saddr = htonl(0x0a000001);
	ip->daddr = htonl(0x0a000002);
	skb_set_transport_header(skb, sizeof(*ip));
	skb->protocol = htons(ETH_P_IP);
}

static void make_ipv6(struct sk_buff *skb)
{
	struct ipv6hdr *ip = skb_put_zero(skb, PACKET_LEN);

	ip->version = 6;
	ip->payload_len = htons(PACKET_LEN - sizeof(*ip));
	ip->nexthdr = IPPROTO_UDP;
	ip->hop_limit = 64;
	ipv6_addr_set(&ip->saddr, htonl(0xfd000000), 0, 0, htonl(1));
	ipv6_addr_set(&ip->daddr, htonl(0xfd000000), 0, 0, htonl(2));
	skb_set_transport_header(skb, sizeof(*ip));
}

static void make_arp(struct sk_buff *skb)
{
	struct arphdr *arp = skb_put_zero(skb, PACKET_LEN);
	u8 *addresses = (u8 *)(arp + 1);

	arp->ar_hrd = htons(ARPHRD_ETHER);
	arp->ar_pro = htons(ETH_P_IP);
	arp->ar_hln = ETH_ALEN;
	arp->ar_pln = 4;
	arp->ar_op = htons(ARPOP_REQUEST);
	put_unaligned_be32(0x0a000001, addresses + ETH_ALEN);
	put_unaligned_be32(0x0a000002, addresses + 2 * ETH_ALEN + 4);
}

struct family {
	const char *name;
	u8 pf;
	u8 hook;
	void (*make)(struct sk_buff *skb);
	nf_hookfn *function;
};

/* That of nftables is static: it is found by its chain. */
static const struct family families[] = {
	{ "ipv4", NFPROTO_IPV4, NF_INET_LOCAL_IN, make_ipv4, ipt_do_table },
	{ "ipv6", NFPROTO_IPV6, NF_INET_LOCAL_IN, make_ipv6, ip6t_do_table },
	{ "arp", NFPROTO_ARP, NF_ARP_IN, make_arp, arpt_do_table },
	{ "nft", NFPROTO_IPV4, NF_INET_LOCAL_IN, make_ipv4, NULL },
};

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* One packet, and the arguments of a call. */
struct call {
	nf_hookfn *function;
	void *table;
	struct sk_buff *skb;
	struct nf_hook_state state;
};

/* The first base chain of nftables at the input hook. It must not be removed meanwhile. */
static void find_chain(struct net *net, struct call *call)
{
	const struct nf_hook_entries *entries;
	unsigned int i;

	rcu_read_lock();
	entries = rcu_dereference(net->nf.hooks_ipv4[NF_INET_LOCAL_IN]);
	for (i = 0; entries && i < entries->num_hook_entries; i++) {
		if (nf_hook_entries_get_hook_ops(entries)[i]->hook_ops_type != NF_HOOK_OP_NF_TABLES)
			continue;
		call->function = entries->hooks[i].hook;
		call->table = entries->hooks[i].priv;
		break;
	}
	rcu_read_unlock();
}

static int call_init(struct call *call, const struct family *family)
{
	struct net *net = current->nsproxy->net_ns;

	call->function = family->function;
	call->table = NULL;
	if (call->function)
		call->table = xt_find_table(net, family->pf, "filter");
	else
		find_chain(net, call);
	if (!call->table)
		return -ENOENT;
	call->skb = alloc_skb(PACKET_LEN, GFP_KERNEL);
	if (!call->skb)
		return -ENOMEM;
	skb_reset_network_header(call->skb);
	family->make(call->skb);
	call->skb->dev = net->loopback_dev;
#if IS_ENABLED(CONFIG_NETFILTER_XT_TARGET_TRACE)
	call->skb->nf_trace = trace;
#endif
	nf_hook_state_init(&call->state, family->hook, family->pf, net->loopback_dev,
			   NULL, NULL, net, NULL);
	return 0;
}

static void call_free(struct call *call)
{
	kfree_skb(call->skb);
}

/* To be called with softirqs off, as in the receive path. */
static __always_inline unsigned int call_batch(struct call *call, unsigned int n)
{
	unsigned int i, verdict = 0;

	rcu_read_lock();
	for (i = 0; i < n; i++)
		verdict = call->function(call->table, call->skb, &call->state);
	rcu_read_unlock();
	return verdict;
}

static struct perf_event *count_start(u64 what)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = what,
		.pinned = 1,
		.exclude_user = 1,
	};

	return perf_event_create_kernel_counter(&attr, -1, current, NULL, NULL);
}

static void count_end(struct perf_event *event, struct seq_file *m, unsigned int calls)
{
	u64 enabled, running, value;

	if (IS_ERR(event)) {
		seq_puts(m, " -");
		return;
	}
	value = perf_event_read_value(event, &enabled, &running);
	seq_printf(m, " %llu", div64_u64(value * 1000, calls));
	perf_event_release_kernel(event);
}

static int cost_show(struct seq_file *m, void *unused)
{
	struct perf_event *cycles, *instructions;
	unsigned int i, verdict = 0, n = calls;
	unsigned long flags;
	u64 ticks[BATCHES];
	struct call call;
	int err;

	if (!n)
		return -EINVAL;
	err = call_init(&call, m->private);
	if (err)
		return err;

	cycles = count_start(PERF_COUNT_HW_CPU_CYCLES);
	instructions = count_start(PERF_COUNT_HW_INSTRUCTIONS);
	local_bh_disable();
	for (i = 0; i < BATCHES; i++) {
		/*
		 * Keep interrupts out of the measurement. The call enables softirqs,
		 * which it must not do with interrupts off, though none can run before
		 * the end of the loop. A kernel with lockdep would report that, and is
		 * too slow for measurements anyway.
		 */
		if (!IS_ENABLED(CONFIG_TRACE_IRQFLAGS))
			local_irq_save(flags);
		ticks[i] = rdtsc_ordered();
		verdict = call_batch(&call, n);
		ticks[i] = rdtsc_ordered() - ticks[i];
		if (!IS_ENABLED(CONFIG_TRACE_IRQFLAGS))
			local_irq_restore(flags);
	}
	local_bh_enable();

	sort(ticks, BATCHES, sizeof(ticks[0]), compare, NULL);
	seq_printf(m, "%u %llu %llu %llu", verdict, ticks[0] / n,
		   ticks[BATCHES / 2] / n, ticks[BATCHES - 1] / n);
	count_end(cycles, m, BATCHES * n);
	count_end(instructions, m, BATCHES * n);
	seq_putc(m, '\n');
	call_free(&call);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(cost);

struct caller {
	struct call call;
	struct task_struct *task;
	atomic_t *waiting, *running;
	struct completion *done;
};

static int caller_run(void *data)
{
	struct caller *caller = data;
	unsigned int i;

	atomic_dec(caller->waiting);
	while (atomic_read(caller->waiting))
		cpu_relax();
	for (i = 0; i < BATCHES; i++) {
		local_bh_disable();
		call_batch(&caller->call, calls);
		local_bh_enable();
	}
	if (atomic_dec_and_test(caller->running))
		complete(caller->done);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

static int parallel_show(struct seq_file *m, void *unused)
{
	DECLARE_COMPLETION_ONSTACK(done);
	unsigned int i, cpu, n = cpus;
	atomic_t waiting, running;
	struct caller *callers;
	u64 start;
	int err;

	if (!n || n > num_online_cpus())
		return -EINVAL;
	callers = kcalloc(n, sizeof(*callers), GFP_KERNEL);
	if (!callers)
		return -ENOMEM;

	/* One more: this thread, which starts the clock. */
	atomic_set(&waiting, n + 1);
	atomic_set(&running, n);
	cpu = cpumask_first(cpu_online_mask);
	for (i = 0; i < n; i++, cpu = cpumask_next(cpu, cpu_online_mask)) {
		struct caller *caller = &callers[i];

		caller->waiting = &waiting;
		caller->running = &running;
		caller->done = &done;
		err = call_init(&caller->call, m->private);
		if (err)
			goto free;
		caller->task = kthread_create_on_cpu(caller_run, caller, cpu, "ipt_bench/%u");
		if (IS_ERR(caller->task)) {
			err = PTR_ERR(caller->task);
			caller->task = NULL;
			goto free;
		}
	}

	for (i = 0; i < n; i++)
		wake_up_process(callers[i].task);
	while (atomic_read(&waiting) > 1)
		usleep_range(10, 20);
	start = ktime_get_ns();
	atomic_dec(&waiting);
	wait_for_completion(&done);
	seq_printf(m, "%llu\n", ktime_get_ns() - start);
	err = 0;

free:
	for (i = 0; i < n; i++) {
		if (callers[i].task)
			kthread_stop(callers[i].task);
		call_free(&callers[i].call);
	}
	kfree(callers);
	return err;
}
DEFINE_SHOW_ATTRIBUTE(parallel);

static int plain_show(struct seq_file *m, void *unused)
{
	struct call call;
	int err;

	err = call_init(&call, m->private);
	if (!err) {
		local_bh_disable();
		call_batch(&call, calls);
		local_bh_enable();
		seq_printf(m, "%u\n", calls);
		call_free(&call);
	}
	return err;
}
DEFINE_SHOW_ATTRIBUTE(plain);

/*
 * An interrupt, and then a softirq with packets, can come while a kprobe handler
 * runs. This handler waits for that: it raises an interrupt that schedules a tasklet,
 * which makes the calls.
 */
static DEFINE_MUTEX(kprobed_lock);
static struct call kprobed_call;
static struct completion kprobed_done;

static void kprobed_tasklet(struct tasklet_struct *unused)
{
	call_batch(&kprobed_call, calls);
	complete(&kprobed_done);
}
static DECLARE_TASKLET(tasklet, kprobed_tasklet);

static void kprobed_interrupt(struct irq_work *unused)
{
	tasklet_schedule(&tasklet);
}
static DEFINE_IRQ_WORK(interrupt, kprobed_interrupt);

static noinline void kprobed_function(void)
{
	barrier();
}

static int kprobed_handler(struct kprobe *p, struct pt_regs *regs)
{
	irq_work_queue(&interrupt);
	while (!completion_done(&kprobed_done))
		cpu_relax();
	return 0;
}

static int kprobed_show(struct seq_file *m, void *unused)
{
	struct kprobe probe = {
		.addr = (void *)kprobed_function,
		.pre_handler = kprobed_handler,
	};
	int err;

	guard(mutex)(&kprobed_lock);
	err = call_init(&kprobed_call, m->private);
	if (err)
		return err;
	init_completion(&kprobed_done);
	err = register_kprobe(&probe);
	if (!err) {
		kprobed_function();
		unregister_kprobe(&probe);
		irq_work_sync(&interrupt);
		tasklet_kill(&tasklet);
		if (completion_done(&kprobed_done))
			seq_printf(m, "%u\n", calls);
		else
			err = -EIO;
	}
	call_free(&kprobed_call);
	return err;
}
DEFINE_SHOW_ATTRIBUTE(kprobed);

static int __init ipt_bench_init(void)
{
	void *ipv4 = (void *)&families[0], *nft = (void *)&families[3];
	unsigned int i;

	dir = debugfs_create_dir("ipt_bench", NULL);
	for (i = 0; i < ARRAY_SIZE(families); i++)
		debugfs_create_file(families[i].name, 0400, dir,
				    (void *)&families[i], &cost_fops);
	debugfs_create_file("parallel", 0400, dir, ipv4, &parallel_fops);
	debugfs_create_file("plain", 0400, dir, ipv4, &plain_fops);
	debugfs_create_file("kprobed", 0400, dir, ipv4, &kprobed_fops);
	debugfs_create_file("plain_nft", 0400, dir, nft, &plain_fops);
	debugfs_create_file("kprobed_nft", 0400, dir, nft, &kprobed_fops);
	return 0;
}

static void __exit ipt_bench_exit(void)
{
	debugfs_remove(dir);
}

module_init(ipt_bench_init);
module_exit(ipt_bench_exit);

MODULE_DESCRIPTION("Measures the cost of a call of ipt_do_table() or nft_do_chain()");
MODULE_LICENSE("GPL");
