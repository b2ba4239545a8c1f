#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The series is bisectable: at each commit, what the series changes builds without a warning.
#
# by request: make test-kernels

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/kernel/lib.sh
. "$REPO/tools/kernel/lib.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

"$REPO/tools/kernel/build-kernel"
commits=$(git -C "$KTREE" rev-list --reverse origin/base..HEAD)
config=$OBJDIR/.config

# A separate tree, whose objects are kept from commit to commit.
KTREE=$BUILD/bisect
OBJDIR=$KTREE/build-bisect
[[ -d $KTREE ]] || git clone --quiet --shared --no-checkout "$BUILD/linux-$KVER" "$KTREE"
git -C "$KTREE" fetch --quiet

builds() {
	local output
	git -C "$KTREE" checkout --quiet --force --detach "$1" || return 1
	mkdir -p "$OBJDIR"
	cp "$config" "$OBJDIR/.config"
	output=$({ kmake olddefconfig && kmake KRUSTFLAGS=-Dwarnings prepare \
		kernel/tracepoint.o net/netfilter/ net/ipv4/netfilter/ net/ipv6/netfilter/ samples/rust/; } 2>&1) || {
		echo "$output"
		return 1
	}
	clean "$output" 'warning:'
}
for commit in $commits; do
	check "bisect: $(git -C "$BUILD/linux-$KVER" log -1 --format=%s "$commit")" builds "$commit"
done

done_testing
