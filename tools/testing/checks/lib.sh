# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the checks share: TAP, with the plan at the end, and kernel trees to apply the
# series to. Sourced after env.sh.

count=0

# check NAME COMMAND...: passes if the command succeeds; else prints its output.
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

# check_line NAME STATUS TEXT COMMAND...: passes if the command exits with that status
# (any but 0, if it is "!"), and prints one error line that contains TEXT.
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

# clean OUTPUT PATTERN: fails, and prints the lines, if the output of a tool matches an
# extended regular expression, in upper or lower case. Matches in the path of this clone do
# not count.
clean() {
	! grep -iE -A 8 -- "$2" <<<"${1//"$REPO"/.}"
}

# The same moments in each run, unless SEED is set.
RANDOM=${SEED:-1}

# interrupt SIGNALS PREPARE COMMAND...: interrupts the command five times, each at a random
# moment of its run time, and then runs it to the end. PREPARE gives each run work to do. Adds a
# line to $tmp/interrupted for each.
interrupt() {
	local prepare=$2 start took moment rc i=0 tries signals
	read -ra signals <<<"$1"
	shift 2
	# The first run may take longer: measure the second.
	"$prepare" && "$@" && "$prepare" || return 1
	start=$(date +%s%N)
	"$@" || return 1
	took=$((($(date +%s%N) - start) / 1000000))
	for ((tries = 0; i < 5 && tries < 50; tries++)); do
		"$prepare" || return 1
		rc=0
		moment=$((took * (RANDOM % 100) / 100 + 1))
		timeout --signal="${signals[i % ${#signals[@]}]}" \
			"$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))" "$@" || rc=$?
		# Count it only if the command had not ended before.
		if ((rc == 124 || rc == 137)); then
			i=$((i + 1))
			echo "$*" >>"${tmp:?}/interrupted"
		fi
	done
	"$prepare" && "$@"
}

# own_tree DIR: creates a minimal kernel tree like a user's: the files that the series changes
# and that patch_for reads.
own_tree() {
	local file
	rm -rf "$1"
	for file in Kbuild Makefile include/linux/tracepoint.h \
		$(git -C "$KTREE" diff --name-only --diff-filter=M origin/base HEAD); do
		mkdir -p "$1/$(dirname "$file")"
		git -C "$KTREE" show "origin/base:$file" >"$1/$file"
	done
}

# The user's configuration of git does not matter.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null

# in_git DIR: makes DIR a git work tree with one commit.
in_git() {
	git -C "$1" init --quiet
	git -C "$1" add --force .
	git -C "$1" -c user.name=me -c user.email=me@localhost commit --quiet --message mine
}

done_testing() {
	echo "1..$count"
}
