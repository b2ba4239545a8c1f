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
cd "$tmp/one"
# interrupt SIGNALS PREPARE COMMAND...: five times, and once to the end; before each, what
# gives it something to do.
interrupt() {
	local prepare=$2 start took moment rc i=0 tries signals
	read -ra signals <<<"$1"
	shift 2
	# The first time may take longer.
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
		# It may have been through before.
		if ((rc == 124 || rc == 137)); then
			i=$((i + 1))
			echo "$*" >>"$tmp/interrupted"
		fi
	done
	"$prepare" && "$@"
}

change_file() {
	sed -i '$d' samples/rust/rust_drops.rs
	echo "} // $RANDOM" >>samples/rust/rust_drops.rs
}
all="INT TERM KILL"
check "interrupted, and run again: assemble" interrupt "$all" change_file tools/kernel/assemble
check "the tree that was assembled is what the repository says" \
	cmp samples/rust/rust_drops.rs "build/linux-$KVER/samples/rust/rust_drops.rs"
check "and has no other change" test -z "$(git -C "build/linux-$KVER" status --porcelain)"
# The moment that is hard to hit: files are being checked out, one is there already.
half_way() {
	local tree=build/linux-$KVER stamp=build/linux-$KVER/.git/iptverdict old new key
	old=$(git -C "$tree" rev-parse HEAD)
	cp "$stamp" "$tmp/stamp"
	change_file
	tools/kernel/assemble || return 1
	read -r key new <"$stamp"
	git -C "$tree" checkout --quiet --detach "$old" || return 1
	cp "$tmp/stamp" "$stamp"
	echo "$key $old $new" >"$stamp.next"
	cp samples/rust/rust_drops.rs "$tree/samples/rust/"
	touch "$tree/.git/index.lock"
	tools/kernel/assemble && [[ $(git -C "$tree" rev-parse HEAD) == "$new" && ! $(git -C "$tree" status --porcelain) ]]
}
check "interrupted in a checkout, and run again" half_way
check "interrupted, and run again: make series" interrupt "$all" true make series
check "interrupted, and run again: make toolbox" interrupt "$all" true make toolbox CMD=true
check "interrupted, and run again: make module" interrupt "$all" true make -C "$REPO" module

# A tree that is not ours, at a path with a blank, has all of the series then, or none. A
# kill can leave a git am in progress, which it says.
own=$tmp/own\ tree
own_commits() {
	git -C "$own" rev-list --count HEAD
}
commits=$((1 + $(series | wc -l)))
fresh_tree() {
	if [[ -d $own ]] && (($(own_commits) == 1)); then
		git -C "$own" diff --exit-code HEAD
	elif [[ ! -d $own ]] || (($(own_commits) == commits)); then
		own_tree "$own" && in_git "$own"
	else
		echo "$(own_commits) of $commits commits"
		return 1
	fi
}
check "interrupted, and run again: make apply" interrupt "INT TERM" fresh_tree make apply KSRC="$own"
check "which is all of it" test "$(own_commits)" == "$commits"
# From when it has begun to the end, by the group of processes, as a terminal does.
in_the_middle() {
	local pid
	fresh_tree || return 1
	set -m
	make apply KSRC="$own" &
	pid=$!
	set +m
	until [[ -d $own/.git/rebase-apply ]]; do kill -0 $pid || return 1; done
	while kill -INT -- -$pid 2>/dev/null; do sleep 0.01; done
	[[ $(own_commits) == "$commits" && ! $(git -C "$own" status --porcelain) ]]
}
check "interrupted in the middle of git am, again and again" in_the_middle
check "at least 20 interruptions" test "$(wc -l <"$tmp/interrupted")" -ge 20
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
