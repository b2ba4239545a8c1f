#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The commands under adverse conditions: interrupted, run twice at once, without write
# permission, on a full disk; in clones of its own. SEED: of the random moments of interruption.
#
# objects of its own: 6 minutes

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/kernel/lib.sh
. "$REPO/tools/kernel/lib.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$REPO/tools/kernel/assemble"

# Two clones that share the cache.
for clone in one two; do
	git clone --quiet "$REPO" "$tmp/$clone"
done
at_once() {
	"$tmp/one/tools/kernel/assemble" &
	"$tmp/two/tools/kernel/assemble" || return 1
	wait $!
}
check "assemble: two clones at once succeed" at_once
head_of() {
	git -C "$tmp/$1/build/linux-$KVER" rev-parse HEAD
}
check "assemble: two clones have the same kernel tree" test "$(head_of one)" == "$(head_of two)"

# compile CLONE: compiles netfilter there, with the results of the compiler cache in
# build/ccache.log. By gcc, whose configuration has no Rust and builds in a minute. The tools
# of the kernel's build come first: their command lines have absolute paths, and they miss.
compile() (
	export COMPILER=gcc
	"$tmp/$1/tools/kernel/build-kernel" prepare &&
		CCACHE_STATSLOG=$tmp/$1/build/ccache.log "$tmp/$1/tools/kernel/build-kernel" \
			net/netfilter/ net/ipv4/ net/ipv6/netfilter/
)
# cached CLONE: succeeds if other clones had compiled almost all that was compiled there.
cached() {
	local hits misses
	hits=$(grep -cE '^(direct|preprocessed)_cache_hit$' "$tmp/$1/build/ccache.log" || :)
	misses=$(grep -c '^cache_miss$' "$tmp/$1/build/ccache.log" || :)
	echo "$hits hits, $misses misses"
	((hits > 100 && 100 * hits >= 95 * (hits + misses)))
}
# The first clone fills the cache, unless an earlier run has.
shared_cache() {
	compile one && { cached one || { compile two && cached two; }; }
}
check "compiler cache: at least 95 % hits for netfilter in a second clone" shared_cache

cd "$tmp/one"
change_file() {
	sed -i '$d' samples/rust/rust_drops.rs
	echo "} // $RANDOM" >>samples/rust/rust_drops.rs
}
check "assemble: succeeds after interruptions" interrupt "INT TERM KILL" change_file tools/kernel/assemble
check "assemble: after interruptions, the tree agrees with the repository" \
	cmp samples/rust/rust_drops.rs "build/linux-$KVER/samples/rust/rust_drops.rs"
check "assemble: after interruptions, the tree has no other change" test -z "$(git -C "build/linux-$KVER" status --porcelain)"
# The state in the middle of the checkout, which an interruption rarely hits.
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
check "assemble: resumes after an interruption in the checkout" half_way
check "make series: succeeds after interruptions" interrupt "INT TERM KILL" true make series
check "make toolbox: succeeds after interruptions" interrupt "INT TERM KILL" true make toolbox CMD=true
# An interruption while the toolbox starts.
leaves_nothing() {
	local i
	for ((i = 0; i < 200; i++)); do
		timeout --signal="$((i % 2 ? 2 : 15))" "0.0$((RANDOM % 30 + 10))" tools/toolbox/enter true || :
	done
	! pgrep --full --list-full "bwrap .*--bind $tmp/one "
}
check "make toolbox: interruptions leave no process" leaves_nothing

# A user's tree, at a path with a blank, gets the whole series or nothing. No SIGKILL: it can
# leave a git am in progress, which the next run reports.
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
check "make apply: an interruption leaves the whole series or nothing" interrupt "INT TERM" fresh_tree make apply KSRC="$own"
check "make apply: succeeds after interruptions" test "$(own_commits)" == "$commits"
# Signals to the process group, as from a terminal, from the first patch to the end.
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
check "make apply: completes when interrupted in the middle of git am" in_the_middle
check "robust: at least 15 commands were interrupted" test "$(wc -l <"$tmp/interrupted")" -ge 15
cd "$REPO"

# Places where the commands cannot work.
git clone --quiet "$REPO" "$tmp/a blank"
check_line "kernel: rejects a repository path with a blank" 2 "below a path that contains a blank" make -C "$tmp/a blank" kernel
check_line "kernel: rejects a cache path with a blank" 2 "below a path that contains a blank" env XDG_CACHE_HOME="$tmp/a blank" make kernel
# shellcheck disable=SC2016 # the shell in the namespace is to expand it
read_only() {
	unshare --user --map-root-user --mount bash -c 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" &&
		"$1/tools/kernel/build-kernel"' bash "$1"
}
git clone --quiet "$REPO" "$tmp/three"
check_line "kernel: reports a read-only repository" 1 "cannot write to .*/three/build" read_only "$tmp/three"
mkdir "$tmp/three/build"
# in_small SIZE SIZE: assembles with build/ on a file system of the first size, which is too
# small, then of the second.
# shellcheck disable=SC2016 # as above
in_small() {
	unshare --user --map-root-user --mount bash -c 'mount -t tmpfs -o size=$2 none "$1/build"
		"$1/tools/kernel/assemble" && exit 9
		mount -o remount,size=$3 "$1/build" && "$1/tools/kernel/assemble" &&
			git -C "$1/build/linux-$4" diff --exit-code HEAD' bash "$tmp/three" "$@" "$KVER"
}
check_line "assemble: reports a full disk, and succeeds once there is space" 0 "no space left on device" in_small 100M 4G

done_testing
