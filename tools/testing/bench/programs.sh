# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Builds the BPF programs of the bench from bench.bpf.c. Sourced; $here is this directory.
#
# shellcheck disable=SC2154 # $here

# bpf_object DIR NAME VIA HOOK [OPTION]: builds a program; see bench.bpf.c for VIA and HOOK.
# The array defines has further options.
bpf_object() {
	clang -g -O2 -Wall -Wno-missing-declarations -Wno-unused-function --target=bpf \
		-D__TARGET_ARCH_x86 -I"$1" -D"VIA_$3" -DHOOK="\"$4\"" ${5:+"-D$5"} \
		${defines[@]+"${defines[@]}"} \
		-c "$here/bench.bpf.c" -o "$1/$2.bpf.o"
}

# bpf_objects BTF DIR [MECHANISM...]: builds the programs of these mechanisms, or all, for
# the kernel that has this BTF.
bpf_objects() {
	local programs name via hook option
	bpftool btf dump file "$1" format c >"$2/vmlinux.h"
	programs=$("$here/mechanisms.py" --programs "${@:3}")
	while read -r name via hook option; do
		[[ ! $name ]] || bpf_object "$2" "$name" "$via" "$hook" "$option"
	done <<<"$programs"
}
