// SPDX-License-Identifier: GPL-2.0
/*
 * Loads a router with packets at an exact rate, whether it keeps up or not.
 *
 * Two network devices, which are to be moved into the router's network namespace:
 *
 * load0	A NIC with a receive ring and a NAPI instance for each CPU. Packets arrive
 *		at the offered rate. The ring has a finite size; a packet that finds it full
 *		is dropped. An interrupt is raised usecs microseconds after a packet has
 *		arrived, or by the frames-th packet, if that is sooner; none while NAPI
 *		polls. The ring is brought up to date when the driver looks at it: what has
 *		arrived by then depends on the time alone, so the arrival itself costs the
 *		router nothing, as with the DMA of hardware.
 * load1	The way out: counts what is sent there, and answers pings.
 *
 * The packets are UDP datagrams in frames of 64 bytes, from 10.0.1.2 to port 7004 of 10.0.2.2. At
 * most ping packets a second are echo requests instead; the reply comes back through
 * the router, and the time from the arrival of the request to that is measured.
 *
 * A read of /sys/kernel/debug/ipt_load/run offers packets for one run, and prints: the numbers
 * of packets that were offered, dropped at the ring, and delivered, and the nanoseconds from
 * each interrupt to the end of its polling; then a line for each ping, with nanoseconds, or 0
 * if it has not come back. With stop=1, the run ends with the first drop.
 */
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/etherdevice.h>
#include <linux/hrtimer.h>
#include <linux/icmp.h>
#include <linux/ip.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/seq_file.h>
#include <linux/udp.h>
#include <linux/vmalloc.h>

/* Without the checksum of the frame. */
#define FRAME_LEN	60
#define CLIENT		0x0a000102
#define SERVER		0x0a000202
#define PORT		7004
#define FIRST_PORT	10000
#define MAX_PINGS	100000

static unsigned int rate = 10000;
module_param(rate, uint, 0644);
MODULE_PARM_DESC(rate, "Packets offered to each queue, in a second");

static unsigned int packets = 10000;
module_param(packets, uint, 0644);
MODULE_PARM_DESC(packets, "Packets offered to each queue, in a run");

static unsigned int ping = 100;
module_param(ping, uint, 0644);
MODULE_PARM_DESC(ping, "Of these, echo requests in a second; only by the first queue");

static bool stop;
module_param(stop, bool, 0644);
MODULE_PARM_DESC(stop, "End a run with the first drop");

static unsigned int queues = 1;
module_param(queues, uint, 0644);
MODULE_PARM_DESC(queues, "Queues that get packets, each on a CPU of its own");

static unsigned int flows = 64;
module_param(flows, uint, 0644);
MODULE_PARM_DESC(flows, "Source ports of each queue");

static unsigned int usecs = 100;
module_param(usecs, uint, 0444);
MODULE_PARM_DESC(usecs, "Microseconds from a packet to the interrupt");

static unsigned int frames = 64;
module_param(frames, uint, 0444);
MODULE_PARM_DESC(frames, "Packets that raise the interrupt sooner");

static unsigned int ring = 1024;
module_param(ring, uint, 0444);
MODULE_PARM_DESC(ring, "Size of the receive ring, a power of two");

/*
 * A receive queue of load0. Only its CPU uses it during a run: in the timer, or in NAPI, one of
 * which is scheduled by the other.
 */
struct queue {
	struct napi_struct napi;
	struct hrtimer timer;
	unsigned int index;
	/* Of the ring: entries are numbers of packets. */
	u32 *entries;
	unsigned int head, tail;
	/* Of the run: the number of the next packet is how many have arrived. */
	u64 start;
	u32 rate, total, next, dropped;
	/* When the interrupt came, and the nanoseconds from each to the end of polling. */
	u64 since, busy;
	struct completion done;
} ____cacheline_aligned_in_smp;

/* The way back for answers to pings. */
static struct napi_struct answers;
static struct sk_buff_head answered;

static struct net_device *devices[2];
static struct queue *all;
static unsigned int ping_every, ping_count;
static u64 *ping_back;
static DEFINE_PER_CPU(u64, delivered);
static struct dentry *dir;

static u64 arrival(const struct queue *q, u32 number)
{
	return q->start + div_u64((u64)number * NSEC_PER_SEC, q->rate);
}

/* arrive - puts the packets into the ring that have arrived by now */
static void arrive(struct queue *q, u64 now)
{
	u64 passed = now > q->start ? now - q->start : 0;
	u32 due = min_t(u64, div_u64(passed * q->rate, NSEC_PER_SEC) + 1, q->total);

	for (; q->next < due && q->head - q->tail < ring; q->next++)
		q->entries[q->head++ & (ring - 1)] = q->next;
	if (q->next < due) {
		q->dropped += due - q->next;
		q->next = due;
		if (stop)
			q->total = due;
	}
}

static enum hrtimer_restart interrupt(struct hrtimer *timer)
{
	struct queue *q = container_of(timer, struct queue, timer);

	q->since = ktime_get_ns();
	napi_schedule(&q->napi);
	return HRTIMER_NORESTART;
}

/* enable_interrupt - raises one for the packets from the next one on */
static void enable_interrupt(struct queue *q)
{
	u32 last = min(q->next + frames, q->total) - 1;
	u64 at = min(arrival(q, q->next) + usecs * NSEC_PER_USEC, arrival(q, last));

	hrtimer_start(&q->timer, ns_to_ktime(at), HRTIMER_MODE_ABS_PINNED);
}

static void make_headers(struct sk_buff *skb, const struct net_device *dev, u8 protocol,
			 u32 source, u32 destination)
{
	struct ethhdr *eth = skb_put_zero(skb, FRAME_LEN);
	struct iphdr *ip = (struct iphdr *)(eth + 1);

	ether_addr_copy(eth->h_dest, dev->dev_addr);
	eth->h_source[0] = 2;
	eth->h_proto = htons(ETH_P_IP);
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tot_len = htons(FRAME_LEN - ETH_HLEN);
	ip->ttl = 64;
	ip->protocol = protocol;
	ip->saddr = htonl(source);
	ip->daddr = htonl(destination);
	ip->check = ip_fast_csum(ip, ip->ihl);
	skb->ip_summed = CHECKSUM_UNNECESSARY;
}

static struct icmphdr *icmp_of(struct sk_buff *skb)
{
	return (struct icmphdr *)(skb->data + ETH_HLEN + sizeof(struct iphdr));
}

/* The data of an echo request or reply: the number of the ping. */
static __be32 *number_of(struct sk_buff *skb)
{
	return (__be32 *)(icmp_of(skb) + 1);
}

static void make_echo(struct sk_buff *skb, u8 type, u32 number)
{
	icmp_of(skb)->type = type;
	icmp_of(skb)->un.echo.id = htons(1);
	*number_of(skb) = htonl(number);
}

static struct sk_buff *make_packet(struct queue *q, u32 number)
{
	struct sk_buff *skb = napi_alloc_skb(&q->napi, FRAME_LEN);
	bool is_ping = ping_every && !q->index && number % ping_every == 0;

	if (!skb)
		return NULL;
	make_headers(skb, devices[0], is_ping ? IPPROTO_ICMP : IPPROTO_UDP, CLIENT, SERVER);
	if (is_ping) {
		make_echo(skb, ICMP_ECHO, number / ping_every);
	} else {
		struct udphdr *udp = (struct udphdr *)icmp_of(skb);

		udp->source = htons(FIRST_PORT + q->index * flows + number % flows);
		udp->dest = htons(PORT);
		udp->len = htons(FRAME_LEN - ETH_HLEN - sizeof(struct iphdr));
	}
	skb->protocol = eth_type_trans(skb, devices[0]);
	skb_record_rx_queue(skb, q->index);
	return skb;
}

static int poll(struct napi_struct *napi, int budget)
{
	struct queue *q = container_of(napi, struct queue, napi);
	int done = 0;

	arrive(q, ktime_get_ns());
	while (done < budget && q->tail != q->head) {
		struct sk_buff *skb = make_packet(q, q->entries[q->tail++ & (ring - 1)]);

		if (skb)
			napi_gro_receive(napi, skb);
		done++;
	}
	if (done == budget || !napi_complete_done(napi, done))
		return done;
	q->busy += ktime_get_ns() - q->since;
	if (q->next < q->total)
		enable_interrupt(q);
	else
		complete(&q->done);
	return done;
}

static int poll_answers(struct napi_struct *napi, int budget)
{
	struct sk_buff *skb;
	int done = 0;

	while (done < budget && (skb = skb_dequeue(&answered))) {
		napi_gro_receive(napi, skb);
		done++;
	}
	if (done < budget)
		napi_complete_done(napi, done);
	return done;
}

static void answer(struct sk_buff *request)
{
	struct sk_buff *skb = netdev_alloc_skb(devices[1], FRAME_LEN);

	if (!skb)
		return;
	make_headers(skb, devices[1], IPPROTO_ICMP, SERVER, CLIENT);
	make_echo(skb, ICMP_ECHOREPLY, ntohl(*number_of(request)));
	skb->protocol = eth_type_trans(skb, devices[1]);
	skb_queue_tail(&answered, skb);
	napi_schedule(&answers);
}

/* xmit - takes what the router sends: to load0 only the answers to pings */
static netdev_tx_t xmit(struct sk_buff *skb, struct net_device *dev)
{
	const struct iphdr *ip = (const struct iphdr *)(skb->data + ETH_HLEN);
	bool is_ipv4 = skb->protocol == htons(ETH_P_IP);

	if (is_ipv4 && ip->protocol == IPPROTO_UDP && dev == devices[1]) {
		this_cpu_inc(delivered);
	} else if (is_ipv4 && ip->protocol == IPPROTO_ICMP) {
		if (dev == devices[1] && icmp_of(skb)->type == ICMP_ECHO) {
			this_cpu_inc(delivered);
			answer(skb);
		} else if (dev == devices[0] && icmp_of(skb)->type == ICMP_ECHOREPLY) {
			u32 number = ntohl(*number_of(skb));

			if (number < ping_count)
				ping_back[number] = ktime_get_ns();
		}
	}
	dev_consume_skb_any(skb);
	return NETDEV_TX_OK;
}

static int open(struct net_device *dev)
{
	unsigned int i;

	if (dev == devices[0]) {
		for (i = 0; i < nr_cpu_ids; i++)
			napi_enable(&all[i].napi);
	} else {
		napi_enable(&answers);
	}
	return 0;
}

static int close(struct net_device *dev)
{
	unsigned int i;

	if (dev == devices[0]) {
		for (i = 0; i < nr_cpu_ids; i++)
			napi_disable(&all[i].napi);
	} else {
		napi_disable(&answers);
	}
	return 0;
}

static const struct net_device_ops ops = {
	.ndo_open = open,
	.ndo_stop = close,
	.ndo_start_xmit = xmit,
};

/* start - begins the run of a queue, on its CPU */
static void start(void *data)
{
	enable_interrupt(data);
}

static u64 all_delivered(void)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu(delivered, cpu);
	return sum;
}

/* offer - makes a run, and prints its result. The parameters may not change meanwhile. */
static int offer(struct seq_file *m)
{
	u64 at, before = all_delivered(), offered = 0, dropped = 0, busy = 0;
	unsigned int i;

	at = ktime_get_ns() + 10 * NSEC_PER_MSEC;
	for (i = 0; i < queues; i++) {
		struct queue *q = &all[i];

		q->start = at;
		q->rate = rate;
		q->total = packets;
		q->next = 0;
		q->dropped = 0;
		q->busy = 0;
		q->head = 0;
		q->tail = 0;
		reinit_completion(&q->done);
	}
	for (i = 0; i < queues; i++)
		smp_call_function_single(i, start, &all[i], true);
	for (i = 0; i < queues; i++)
		wait_for_completion(&all[i].done);
	/* The last pings come back. */
	msleep(20);

	for (i = 0; i < queues; i++) {
		offered += all[i].next;
		dropped += all[i].dropped;
		busy += all[i].busy;
	}
	seq_printf(m, "%llu %llu %llu %llu\n", offered, dropped, all_delivered() - before, busy);
	for (i = 0; i < ping_count && i * ping_every < all[0].next; i++)
		seq_printf(m, "%llu\n", ping_back[i] ? ping_back[i] -
			   arrival(&all[0], i * ping_every) : 0);
	return 0;
}

static int run_show(struct seq_file *m, void *unused)
{
	int err = -EINVAL;

	/* Both devices stay up. */
	rtnl_lock();
	if (!rate || !packets || !flows || !queues || queues > num_online_cpus())
		goto out;
	ping_every = ping ? max(rate / ping, 1u) : 0;
	ping_count = ping ? DIV_ROUND_UP(packets, ping_every) : 0;
	if (ping_count > MAX_PINGS)
		goto out;
	err = -ENETDOWN;
	if (!netif_running(devices[0]) || !netif_running(devices[1]))
		goto out;
	memset(ping_back, 0, ping_count * sizeof(*ping_back));
	err = offer(m);
out:
	rtnl_unlock();
	return err;
}
DEFINE_SHOW_ATTRIBUTE(run);

static void free_all(void)
{
	unsigned int i;

	for (i = 0; all && i < nr_cpu_ids; i++)
		kvfree(all[i].entries);
	kfree(all);
	vfree(ping_back);
	for (i = 0; i < ARRAY_SIZE(devices); i++)
		if (devices[i])
			free_netdev(devices[i]);
}

static int make_queues(void)
{
	unsigned int i;

	for (i = 0; i < nr_cpu_ids; i++) {
		struct queue *q = &all[i];

		q->index = i;
		q->entries = kvmalloc_array(ring, sizeof(*q->entries), GFP_KERNEL);
		if (!q->entries)
			return -ENOMEM;
		init_completion(&q->done);
		hrtimer_setup(&q->timer, interrupt, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED);
		netif_napi_add(devices[0], &q->napi, poll);
	}
	netif_napi_add(devices[1], &answers, poll_answers);
	return 0;
}

static int __init ipt_load_init(void)
{
	int i, err = -ENOMEM;

	if (!is_power_of_2(ring) || !frames)
		return -EINVAL;
	skb_queue_head_init(&answered);
	all = kcalloc(nr_cpu_ids, sizeof(*all), GFP_KERNEL);
	ping_back = vzalloc(array_size(MAX_PINGS, sizeof(*ping_back)));
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		devices[i] = alloc_netdev_mqs(0, "load%d", NET_NAME_ENUM, ether_setup, nr_cpu_ids,
					      nr_cpu_ids);
		if (!devices[i])
			goto free;
		devices[i]->netdev_ops = &ops;
		devices[i]->priv_flags |= IFF_NO_QUEUE;
		eth_hw_addr_random(devices[i]);
	}
	if (!all || !ping_back || make_queues())
		goto free;
	for (i = 0; i < ARRAY_SIZE(devices); i++) {
		err = register_netdev(devices[i]);
		if (err)
			goto unregister;
	}
	dir = debugfs_create_dir("ipt_load", NULL);
	debugfs_create_file("run", 0400, dir, NULL, &run_fops);
	return 0;

unregister:
	while (i--)
		unregister_netdev(devices[i]);
free:
	free_all();
	return err;
}

static void __exit ipt_load_exit(void)
{
	int i;

	debugfs_remove(dir);
	for (i = 0; i < ARRAY_SIZE(devices); i++)
		unregister_netdev(devices[i]);
	skb_queue_purge(&answered);
	free_all();
}

module_init(ipt_load_init);
module_exit(ipt_load_exit);
MODULE_DESCRIPTION("Load for a router at an exact rate");
MODULE_LICENSE("GPL");
