// SPDX-License-Identifier: GPL-2.0
/*
 * packet CLIENT SERVER ADDRESS PORT: measures the cost of a datagram from a socket in
 * the network namespace CLIENT to one in SERVER, which has ADDRESS.
 *
 * Prints the ticks of the time stamp counter per datagram, in the best, the median and
 * the worst batch. One process owns both sockets, so that on one CPU only softirqs run
 * between send and receive.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <x86intrin.h>

#define BATCHES	101
#define PACKETS	10
#define LEN	100

static int socket_in(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err(1, "%s", path);
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		err(1, "socket");
	return fd;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t batch(int client, int server)
{
	char data[LEN] = "";
	uint64_t start;
	int i;

	_mm_lfence();
	start = __rdtsc();
	for (i = 0; i < PACKETS; i++) {
		if (send(client, data, sizeof(data), 0) != sizeof(data))
			err(1, "send");
		if (recv(server, data, sizeof(data), 0) != sizeof(data))
			err(1, "recv");
	}
	_mm_lfence();
	return (__rdtsc() - start) / PACKETS;
}

int main(int argc, char **argv)
{
	struct timeval timeout = { .tv_sec = 5 };
	struct sockaddr_in to = { .sin_family = AF_INET };
	uint64_t ticks[BATCHES];
	int client, server, i;

	if (argc != 5 || !inet_aton(argv[3], &to.sin_addr))
		errx(1, "usage: packet CLIENT SERVER ADDRESS PORT");
	to.sin_port = htons(atoi(argv[4]));

	client = socket_in(argv[1]);
	server = socket_in(argv[2]);
	if (bind(server, (struct sockaddr *)&to, sizeof(to)))
		err(1, "bind");
	if (connect(client, (struct sockaddr *)&to, sizeof(to)))
		err(1, "connect");
	if (setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)))
		err(1, "SO_RCVTIMEO");

	/* Resolve neighbours and routes, and make conntrack know the connection. */
	for (i = 0; i < 10; i++)
		batch(client, server);
	for (i = 0; i < BATCHES; i++)
		ticks[i] = batch(client, server);
	qsort(ticks, BATCHES, sizeof(ticks[0]), compare);
	printf("%ju %ju %ju\n", (uintmax_t)ticks[0], (uintmax_t)ticks[BATCHES / 2],
	       (uintmax_t)ticks[BATCHES - 1]);
	return 0;
}
