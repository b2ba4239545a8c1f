// SPDX-License-Identifier: GPL-2.0
/*
 * bpf_verdict MODULE OBJECT MAP...: loads and attaches the programs of a BPF
 * object with libbpf, without those of type tp_btf if MODULE, which has the event,
 * has no BTF, and prints "attached". At the end of its input, prints for each map
 * and each key whose packet count is not zero: map, key, and the sums over all
 * CPUs of the three counters of a value.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define VALUES 3

static void print_map(struct bpf_object *object, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);
	int cpus = libbpf_num_possible_cpus();
	unsigned long long (*values)[VALUES];
	unsigned int key;

	values = calloc(cpus, sizeof(*values));
	if (!map || !values)
		exit(1);

	for (key = 0; key < bpf_map__max_entries(map); key++) {
		unsigned long long sum[VALUES] = {};
		int cpu, i;

		if (bpf_map_lookup_elem(bpf_map__fd(map), &key, values))
			exit(1);
		for (cpu = 0; cpu < cpus; cpu++)
			for (i = 0; i < VALUES; i++)
				sum[i] += values[cpu][i];
		if (sum[0])
			printf("%s %u %llu %llu %llu\n", name, key, sum[0], sum[1], sum[2]);
	}
	free(values);
}

int main(int argc, char **argv)
{
	struct bpf_program *program;
	struct bpf_object *object;
	char btf[64], byte;
	int i;

	if (argc < 3)
		return 1;
	snprintf(btf, sizeof(btf), "/sys/kernel/btf/%s", argv[1]);
	object = bpf_object__open(argv[2]);
	if (!object)
		return 1;
	bpf_object__for_each_program(program, object)
		if (bpf_program__expected_attach_type(program) == BPF_TRACE_RAW_TP &&
		    access(btf, F_OK))
			bpf_program__set_autoload(program, false);
	if (bpf_object__load(object))
		return 1;
	bpf_object__for_each_program(program, object)
		if (bpf_program__autoload(program) && !bpf_program__attach(program))
			return 1;

	puts("attached");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;

	for (i = 3; i < argc; i++)
		print_map(object, argv[i]);
	return 0;
}
