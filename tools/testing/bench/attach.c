// SPDX-License-Identifier: GPL-2.0
/*
 * attach OBJECT LINKS MAPS: loads a BPF object, attaches its programs, and pins the links and the
 * maps below these directories of a BPF file system. The bpftool of Debian 12 cannot attach.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/libbpf.h>

static int fail(const char *what, const char *name)
{
	fprintf(stderr, "iptverdict: attach: %s %s: %s\n", what, name, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	struct bpf_program *program;
	struct bpf_object *object;
	char path[256];

	if (argc != 4) {
		fprintf(stderr, "usage: attach OBJECT LINKS MAPS\n");
		return 1;
	}
	object = bpf_object__open(argv[1]);
	if (!object || bpf_object__load(object))
		return fail("load", argv[1]);
	if (mkdir(argv[2], 0700))
		return fail("create", argv[2]);
	if (bpf_object__pin_maps(object, argv[3]))
		return fail("pin maps in", argv[3]);
	bpf_object__for_each_program(program, object) {
		struct bpf_link *link = bpf_program__attach(program);

		if (!link)
			return fail("attach", bpf_program__name(program));
		snprintf(path, sizeof(path), "%s/%s", argv[2], bpf_program__name(program));
		if (bpf_link__pin(link, path))
			return fail("pin", path);
	}
	return 0;
}
