#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The documentation: sphinx, kernel-doc and the ABI have no warning about it.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

objdir=$KTREE/build-docs
html=$objdir/Documentation/output/trace/events-iptables.html

# Other documents have warnings of their own.
sphinx() {
	local output
	rm -f "$html"
	mkdir -p "$objdir"
	touch "$KTREE/Documentation/trace/events-iptables.rst"
	output=$(make -C "$KTREE" O="$objdir" SPHINXDIRS=trace htmldocs 2>&1)
	[[ -s $html ]] && ! grep -iE 'iptables|iptverdict' <<<"$output"
}
check "sphinx" sphinx
kernel_doc() {
	local output
	output=$(cd "$KTREE" && scripts/kernel-doc -none -Wall -Werror include/trace/events/*tables.h 2>&1)
	echo "$output"
	[[ ! $output ]]
}
check "kernel-doc of the events" kernel_doc
abi() {
	local output
	output=$(cd "$KTREE" && tools/docs/get_abi.py -D Documentation/ABI validate 2>&1) || {
		echo "$output"
		return 1
	}
	! grep iptverdict <<<"$output"
}
check "the ABI of debugfs" abi

done_testing
