#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# What users do to commands: they interrupt them, run them twice at once, run them where
# they cannot write, or where there is no space. SEED: of the moments of interruption.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
RANDOM=${SEED:-1}

# Two clones, with one cache.
for clone in one two; do
	git clone --quiet "$REPO" "$tmp/$clone"
done
at_once() {
	"$tmp/one/tools/kernel/assemble" &
	"$tmp/two/tools/kernel/assemble" || return 1
	wait $!
}
check "two clones at once" at_once
head_of() {
	git -C "$tmp/$1/build/linux-$KVER" rev-parse HEAD
}
check "both have the same kernel tree" test "$(head_of one)" == "$(head_of two)"

# Interruptions, each at a random moment of the time that the command takes.
clone=$tmp/one
cd "$clone"
# A tree of the user's own: the files that the series changes.
own_tree() {
	local file
	git init --quiet "$tmp/own tree"
	for file in Kbuild Makefile include/linux/tracepoint.h \
		$(git -C "$KTREE" diff --name-only --diff-filter=M origin/base HEAD); do
		mkdir -p "$tmp/own tree/$(dirname "$file")"
		git -C "$KTREE" show "origin/base:$file" >"$tmp/own tree/$file"
	done
	git -C "$tmp/own tree" add --force .
	git -C "$tmp/own tree" -c user.name=me -c user.email=me@localhost commit --quiet --message mine
}
own_tree

# Anew each time: there is something to assemble.
assembles() {
	sed -i '$d' samples/rust/rust_drops.rs
	echo "} // $RANDOM" >>samples/rust/rust_drops.rs
	tools/kernel/assemble
}
again() {
	rm -rf "$tmp/own tree"
	own_tree
	make apply KSRC="$tmp/own tree"
}
export -f assembles own_tree again
export tmp KTREE
kills=0
# interrupt COMMAND...: five times, and once to the end.
interrupt() {
	local start i signals=(INT TERM KILL)
	start=$(date +%s%N)
	"$@" || return 1
	local took=$((($(date +%s%N) - start) / 1000000))
	for i in 0 1 2 3 4; do
		timeout --signal="${signals[i % 3]}" "$(awk -v t=$((took * (RANDOM % 100) / 100 + 1)) 'BEGIN { print t / 1000 }')" \
			"$@" || :
	done
	"$@"
}
for command in assembles "make series" "make toolbox CMD=true" "make -C $REPO module"; do
	# shellcheck disable=SC2086 # a command
	check "interrupted, and run again: ${command/$REPO/.}" interrupt bash -c "RANDOM=$RANDOM; $command"
	kills=$((kills + 5))
done
check "the tree that was assembled is what the repository says" \
	cmp samples/rust/rust_drops.rs "build/linux-$KVER/samples/rust/rust_drops.rs"
check "and has no other change" test -z "$(git -C "build/linux-$KVER" status --porcelain)"
check "$kills interruptions" test $kills -ge 20
# Only a kill leaves something behind in a tree that is not ours, and it is said what.
check "apply, to a path with a blank" make apply KSRC="$tmp/own tree"
for signal in INT TERM; do
	rm -rf "$tmp/own tree"
	own_tree
	applied() {
		local i
		for ((i = 1; i < 8; i++)); do
			timeout --signal="$signal" 0.$((i * 12)) make apply KSRC="$tmp/own tree" 2>/dev/null || :
		done
		make apply KSRC="$tmp/own tree" || [[ $(git -C "$tmp/own tree" rev-list --count HEAD) == $((1 + $(series | wc -l))) ]]
	}
	check "apply, interrupted by $signal and run again" applied
done
cd "$REPO"

# Places.
git clone --quiet "$REPO" "$tmp/a blank"
check_line "a path with a blank in it" 2 "below a path with a blank" make -C "$tmp/a blank" kernel
check_line "the same, of the cache" 2 "below a path with a blank" env XDG_CACHE_HOME="$tmp/a blank" make kernel
# shellcheck disable=SC2016 # the shell in the namespace is to expand it
read_only() {
	unshare --user --map-root-user --mount bash -c 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" &&
		"$1/tools/kernel/build"' bash "$1"
}
git clone --quiet "$REPO" "$tmp/three"
check_line "a read-only source tree" 1 "cannot write to .*/three/build" read_only "$tmp/three"
mkdir "$tmp/three/build"
# in_small SIZE...: with a file system of that size for objects, then of the next.
# shellcheck disable=SC2016 # as above
in_small() {
	unshare --user --map-root-user --mount bash -c 'mount -t tmpfs -o size=$2 none "$1/build"
		"$1/tools/kernel/assemble" && exit 9
		mount -o remount,size=$3 "$1/build" && "$1/tools/kernel/assemble" &&
			git -C "$1/build/linux-$4" diff --exit-code HEAD' bash "$tmp/three" "$@" "$KVER"
}
check_line "a full disk, and then more space" 0 "no space left on device" in_small 100M 4G

done_testing
