#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The documentation of the series: no warning about it from sphinx, kernel-doc and the
# validation of the ABI.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

objdir=$KTREE/build-docs
# sphinx DIRECTORY DOCUMENT...: succeeds if the documents are built and no line of the output is about
# them. Others have warnings of their own.
sphinx() {
	local output name dir=$1
	shift
	mkdir -p "$objdir"
	for name; do
		rm -f "$objdir/Documentation/output/$dir/$name.html"
		touch "$KTREE/Documentation/$dir/$name.rst"
	done
	output=$(make -C "$KTREE" O="$objdir" SPHINXDIRS="$dir" htmldocs 2>&1)
	for name; do
		[[ -s $objdir/Documentation/output/$dir/$name.html ]] || return 1
	done
	clean "$output" 'iptables|nftables|iptverdict|tracepoint-probes'
}
check "sphinx: no warning about the events" sphinx trace events-iptables events-nftables
check "sphinx: no warning about probes in Rust" sphinx rust tracepoint-probes
kernel_doc() {
	local output
	output=$(cd "$KTREE" && scripts/kernel-doc -none -Wall -Werror include/trace/events/*tables.h 2>&1)
	echo "$output"
	[[ ! $output ]]
}
check "kernel-doc: no warning about the events" kernel_doc
abi() {
	local output
	output=$(cd "$KTREE" && tools/docs/get_abi.py -D Documentation/ABI validate 2>&1) || {
		echo "$output"
		return 1
	}
	clean "$output" iptverdict
}
check "get_abi.py: no warning about debugfs-iptverdict" abi

done_testing
