# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Builds the BPF programs of the bench, each from bench.bpf.c. Sourced. What can be
# attached stands also in mechanisms.

# bpf_object NAME VIA HOOK [OPTION]: a program; bench.bpf.c says what these mean.
bpf_object() {
	clang -g -O2 -Wall -Wno-missing-declarations -Wno-unused-function --target=bpf \
		-D__TARGET_ARCH_x86 -I"$out" -D"VIA_$2" -DHOOK="\"$3\"" ${4:+"$4"} \
		-c "$(dirname "${BASH_SOURCE[0]}")/bench.bpf.c" -o "$out/$1.bpf.o"
}

# bpf_objects BTF DIR [NAME...]: all of them, or those, in DIR, for the kernel of
# that BTF.
bpf_objects() {
	local name via hook out=$2 names=" ${*:3} "
	bpftool btf dump file "$1" format c >"$out/vmlinux.h"
	while read -r name via hook; do
		[[ $names != "  " && $names != *" $name "* ]] || bpf_object "$name" "$via" "$hook"
		[[ $names != "  " && $names != *" $name+count "* ]] ||
			bpf_object "$name+count" "$via" "$hook" -DCOUNT
	done <<-E
		raw_tp RAW raw_tp/ipt_verdict
		tp_btf BTF tp_btf/ipt_verdict
		tp EVENT tp/iptables/ipt_verdict
		fentry ENTRY fentry/ipt_do_table
		fexit EXIT fexit/ipt_do_table
		kprobe KPROBE kprobe/ipt_do_table
		kretprobe KRETPROBE kretprobe/ipt_do_table
		kprobe.multi KPROBE kprobe.multi/ipt_do_table
		kretprobe.multi KRETPROBE kretprobe.multi/ipt_do_table
		kprobe.session SESSION kprobe.session/ipt_do_table
	E
	[[ $names == "  " ]] || return 0
	bpf_object raw_tp@ipv6 RAW raw_tp/ip6t_verdict
	bpf_object raw_tp@arp RAW raw_tp/arpt_verdict
	bpf_object tp@ipv6 EVENT tp/iptables/ip6t_verdict
	bpf_object tp@arp EVENT tp/iptables/arpt_verdict
}
