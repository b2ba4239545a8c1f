#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The series: it applies to the pristine tree, and checkpatch accepts it.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

tmp=$(mktemp -d)
trap 'git -C "$KTREE" worktree remove --force "$tmp/pristine"; rm -rf "$tmp"' EXIT

check "make series: succeeds" "$REPO/tools/kernel/series"
# All but the cover letter.
mapfile -t mails < <(find "$BUILD/series" -name '*.patch' ! -name '0000-*' | sort)

# A tree without checked-out files: git am creates those that it changes.
git -C "$KTREE" worktree add --quiet --no-checkout --detach "$tmp/pristine" origin/base
git -C "$tmp/pristine" read-tree HEAD
apply_series() {
	git -C "$tmp/pristine" am --quiet "${mails[@]}"
}
check "series: git am applies it to a pristine tree" apply_series
check "series: the result equals the built tree" \
	git -C "$KTREE" diff --exit-code "$(git -C "$tmp/pristine" rev-parse HEAD)" HEAD

# TRACE_EVENT() has a layout of its own, which checkpatch does not know. The tree has no history for
# Fixes: tags.
checkpatch() {
	local output
	output=$(cd "$KTREE" && scripts/checkpatch.pl --strict --terse --showfile --show-types "$1" |
		grep -vE '^include/trace/events/.*:(OPEN_ENDED_LINE|PARENTHESIS_ALIGNMENT):|:UNKNOWN_COMMIT_ID:|^total:') || :
	[[ ! $output ]] || {
		echo "$output"
		return 1
	}
}
for patch in "${mails[@]}"; do
	check "checkpatch --strict: $(basename "$patch")" checkpatch "$patch"
done

done_testing
