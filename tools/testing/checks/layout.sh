#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The rules of the repository that README and CONTRIBUTING state.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/kernel/lib.sh
. "$REPO/tools/kernel/lib.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

cd "$REPO"
mapfile -t files < <(git ls-files)

# Where the new files of the kernel are, and no others.
in_series='^(rust|samples/rust|tools/testing/selftests|Documentation/(ABI|rust|trace))/'
agree() {
	diff <(series_files | sort) <(printf '%s\n' "${files[@]}" | grep -E "$in_series" | sort)
}
check "layout: the kernel's directories hold the new files of the series, and no others" agree

# Formats without comments, what tools write, and plain lists of the kernel's own.
no_comments='(^tools/iptverdict/(Cargo\.lock|tests/data/.*)|^tools/dkms/debian/(changelog|source/format)|\.patch|^COPYING|^patches/(cover|series)|^Documentation/ABI/.*)$'
licensed() {
	local file lines bad=0
	while read -r file; do
		# matplotlib writes a header of its own first.
		[[ $file == *.svg ]] && lines=20 || lines=5
		head -n "$lines" "$file" | grep -q 'SPDX-License-Identifier: ' || {
			echo "$file has no SPDX line"
			bad=1
		}
	done < <(printf '%s\n' "${files[@]}" | grep -vE "$no_comments")
	return $bad
}
check "layout: every file that allows comments has an SPDX line" licensed

links() {
	local file link bad=0
	while IFS=: read -r file link; do
		link=${link#\](} link=${link%)}
		[[ $link == *://* || -e $(dirname "$file")/${link%%#*} ]] || {
			echo "$file: no $link"
			bad=1
		}
	done < <(git ls-files -z '*.md' | xargs -0 grep -oE '\]\([^)#][^)]*\)')
	return $bad
}
check "layout: links in Markdown files lead to files" links

done_testing
