# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the checks share: TAP, with the plan at the end. Sourced after env.sh.

count=0

# check NAME COMMAND...: passes if the command succeeds; shows what it said if not.
check() {
	local name=$1 output
	shift
	count=$((count + 1))
	if output=$("$@" 2>&1 </dev/null); then
		echo "ok $count $name"
	else
		echo "not ok $count $name"
		tail -n 30 <<<"$output" | sed 's/^/# /'
	fi
}

# check_line NAME STATUS TEXT COMMAND...: passes if the command ends with that
# status (or any but 0, if it is "!"), and says TEXT in one line of its own.
check_line() {
	local name=$1 status=$2 text=$3 output rc=0
	shift 3
	count=$((count + 1))
	output=$("$@" 2>&1 </dev/null) || rc=$?
	if { [[ $status == '!' ]] && ((rc)) || [[ $rc == "$status" ]]; } &&
		[[ $(grep -cE "^iptverdict: .*$text" <<<"$output") == 1 ]]; then
		echo "ok $count $name"
	else
		echo "not ok $count $name"
		echo "# status $rc, wanted $status and a line with: $text"
		tail -n 30 <<<"$output" | sed 's/^/# /'
	fi
}

# own_tree DIR: a kernel tree of a user's own, for what applies the series: the files
# that it changes, and looks at, are enough of one.
own_tree() {
	local file
	rm -rf "$1"
	for file in Kbuild Makefile include/linux/tracepoint.h \
		$(git -C "$KTREE" diff --name-only --diff-filter=M origin/base HEAD); do
		mkdir -p "$1/$(dirname "$file")"
		git -C "$KTREE" show "origin/base:$file" >"$1/$file"
	done
}

# in_git DIR: makes it a git work tree, with one commit.
in_git() {
	git -C "$1" init --quiet
	git -C "$1" add --force .
	git -C "$1" -c user.name=me -c user.email=me@localhost commit --quiet --message mine
}

done_testing() {
	echo "1..$count"
}
