#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The series: it applies to the pristine tree, and is in the form that kernel
# maintainers ask for.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

tmp=$(mktemp -d)
trap 'git -C "$KTREE" worktree remove --force "$tmp/pristine"; rm -rf "$tmp"' EXIT

check "make series" "$REPO/tools/kernel/series"
# The cover letter is no patch.
mapfile -t mails < <(find "$BUILD/series" -name '*.patch' ! -name '0000-*' | sort)

# The files that it changes are enough of a tree.
git -C "$KTREE" worktree add --quiet --no-checkout --detach "$tmp/pristine" origin/base
git -C "$tmp/pristine" read-tree HEAD
apply_series() {
	git -C "$tmp/pristine" am --quiet "${mails[@]}"
}
check "git am takes it on a pristine tree" apply_series
check "and the result is the tree that was built" \
	git -C "$KTREE" diff --exit-code "$(git -C "$tmp/pristine" rev-parse HEAD)" HEAD

# Events have a layout of their own, which all headers of the kernel follow.
checkpatch() {
	local output
	output=$(cd "$KTREE" && scripts/checkpatch.pl --strict --terse --showfile --show-types "$1" |
		grep -vE '^include/trace/events/.*:(OPEN_ENDED_LINE|PARENTHESIS_ALIGNMENT):|^total:') || :
	[[ ! $output ]] || {
		echo "$output"
		return 1
	}
}
for patch in "${mails[@]}"; do
	check "checkpatch --strict: $(basename "$patch")" checkpatch "$patch"
done

done_testing
