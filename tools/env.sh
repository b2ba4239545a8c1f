# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script here shares: where things are, which kernel, and how a
# script ends in error. Sourced, never run.
#
# shellcheck disable=SC2034 # it is others that use what is set here

set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/iptverdict
BUILD=$REPO/build

# The kernels that we build for, those of them that tests boot, and the first that
# gets the Rust part of the series.
KERNELS="7.3 7.2 6.12 6.1"
BOOT_KERNELS="7.3 6.12"
RUST_SINCE=7.2
KVER=${KVER:-${KERNELS%% *}}
CONFIG=${CONFIG:-default}
COMPILER=${COMPILER:-clang}

# The patched tree of this clone, and the object directory in it: below the
# source, so that the compiler sees only relative paths and the compiler cache
# serves every clone.
KTREE=$BUILD/linux-$KVER
OBJDIR=$KTREE/build-$CONFIG
[[ $COMPILER == clang ]] || OBJDIR+=-$COMPILER
KDIR=${KDIR:-$OBJDIR}

# What the bench has built and found, for this kernel.
BENCH=$BUILD/bench
[[ $KVER-$CONFIG == "${KERNELS%% *}-default" ]] || BENCH+=-$KVER-$CONFIG

# The pristine source, a bare git repository with one commit, shared by clones.
KBASE=$CACHE/linux-$KVER.git

# Debian suites: the toolbox, and where kernel source packages are looked for.
SUITE=trixie
KERNEL_SUITES="trixie trixie-backports bookworm"

# Debian's own kernel that make bench compares with: the last with the lock that all
# kretprobes share.
STOCK_KVER=5.10
STOCK_SUITE=bullseye
STOCK_ROOT=$CACHE/image-$STOCK_KVER

# The toolbox is named after what it is made of: a changed list is a new one.
TOOLBOX=$CACHE/toolbox-$SUITE-$(cat "$REPO"/tools/toolbox/{packages,build,customize,coldplug} | sha256sum | cut -c1-12)

die() {
	echo "iptverdict: $*" >&2
	exit 1
}

[[ $REPO$CACHE != *[[:space:]:]* ]] ||
	die "the kernel cannot be built below a path with a blank or a colon: move the repository ($REPO) or the cache ($CACHE, XDG_CACHE_HOME=) to one without"
[[ $COMPILER == clang || $COMPILER == gcc ]] ||
	die "no compiler COMPILER=$COMPILER: there are clang and gcc"

# say TEXT: a line of progress, beside the output of commands.
say() {
	echo "== $*" >&2
}

# step NAME COMMAND...: runs a long command with its output in a file of build/log,
# shows that it moves, and how long it took; on failure, the end of the log.
step() {
	local name=$1 log=$BUILD/log/${1// /-} start=$SECONDS next=15 pid rc=0
	shift
	mkdir -p "$BUILD/log"
	say "$name ..."
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	# shellcheck disable=SC2064 # $pid is to be expanded now
	trap "kill $pid 2>/dev/null || :" EXIT
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		if ((SECONDS - start >= next)); then
			printf '   %4d s  %.100s\n' $((SECONDS - start)) \
				"$(tail -n 1 "$log" | tr -cd '[:print:]')" >&2
			next=$((next + 30))
		fi
	done
	wait "$pid" || rc=$?
	trap - EXIT
	if ((rc)); then
		tail -n 25 "$log" >&2
		# Where there is none, the log may not say so.
		if grep -q 'No space left on device' "$log" ||
			df --output=avail "$BUILD" "$CACHE" | awk 'NR > 1 && $1 < 1024 { full = 1 } END { exit !full }'; then
			die "$name: no space left on device: $(df -h --output=target,avail "$BUILD" "$CACHE" | tail -n +2 | sort -u | tr -s ' \n' ' ')"
		fi
		die "$name failed (status $rc); the whole log is $log"
	fi
	say "$name: $((SECONDS - start)) s"
}

# mirror: the Debian mirror: MIRROR, the one that the host's own apt uses, or nothing,
# which leaves it to mmdebstrap.
mirror() {
	if [[ ${MIRROR:-} ]]; then
		echo "$MIRROR"
	elif command -v apt-get >/dev/null; then
		# shellcheck disable=SC2016 # apt expands these
		apt-get indextargets --format '$(REPO_URI)' \
			'Created-By: Packages' 'Origin: Debian' 'Label: Debian' \
			2>/dev/null | sed -n 1p
	fi
}

# need_writable: objects go to the repository, all else to the cache.
need_writable() {
	local dir
	for dir in "$BUILD" "$CACHE"; do
		{ mkdir -p "$dir" 2>/dev/null && [[ -w $dir ]]; } ||
			die "cannot write to $dir: the repository and the cache (XDG_CACHE_HOME=) have to be where this user may write"
	done
}

# need_userns: the toolbox is entered in a user namespace, also by root.
need_userns() {
	unshare --user --map-root-user true 2>/dev/null ||
		die "this user may not create user namespaces: allow it (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces)"
}

# kmake ARGS: make in the kernel tree of this clone, in the toolbox.
kmake() {
	local llvm=()
	[[ $COMPILER == gcc ]] || llvm=(LLVM=1)
	make -C "$KTREE" O="$OBJDIR" ${llvm[@]+"${llvm[@]}"} LOCALVERSION= KBUILD_BUILD_TIMESTAMP=@0 \
		KBUILD_BUILD_USER=iptverdict KBUILD_BUILD_HOST=toolbox -j"$(nproc)" "$@"
}

# in_toolbox "$@": the rest of the calling script runs in the toolbox.
in_toolbox() {
	[[ ${IN_TOOLBOX:-} ]] || exec "$REPO/tools/toolbox/enter" "$(realpath "$0")" "$@"
}

# since VERSION: whether KVER is that or later.
since() {
	printf '%s\n' "$1" "$KVER" | sort --version-sort --check=silent
}

# rust_kernel: whether KVER gets the Rust part of the series.
rust_kernel() {
	since "$RUST_SINCE"
}

# outside COMMAND...: runs it, but not again when the script goes on in the toolbox.
outside() {
	[[ ${IN_TOOLBOX:-} ]] || "$@"
}

# lost_options: those of the fragment on the standard input that $OBJDIR/.config
# has not: Kconfig drops what it cannot satisfy without a word.
lost_options() {
	local line
	while read -r line; do
		case $line in
		CONFIG_*) grep -qxF "$line" "$OBJDIR/.config" || echo "$line" ;;
		"# CONFIG_"*" is not set")
			line=${line#\# } line=${line%% *}
			! grep -q "^$line=" "$OBJDIR/.config" || echo "$line=n"
			;;
		esac
	done
}

# series: patches/series as far as KVER goes: a patch, and the new files of that patch.
series() {
	local change=
	if ! rust_kernel; then
		change="/-rust-/,\$d"
	elif ! since 7.3; then
		# What patches/before-7.3 is for.
		change='/-rust-debugfs-/i before-7.3/rust-module-make-THIS_MODULE-known-by-type.patch'
	fi
	sed -e 's/#.*//' -e '/^\s*$/d' -e "$change" "$REPO/patches/series"
}

# patch_for TREE PATCH: a patch of patches/, as the kernel tree TREE needs it.
patch_for() {
	local edits=(-e '')
	# What the file was called before 7.3.
	! in_tree "$1" rust/kernel/net.rs >/dev/null ||
		edits+=(-e 's,rust/kernel/net/mod\.rs,rust/kernel/net.rs,g')
	# Older kernels have no call of an event that leaves out the test.
	in_tree "$1" include/linux/tracepoint.h | grep -c trace_call__ >/dev/null ||
		edits+=(-e 's/trace_call__/trace_/g')
	sed "${edits[@]}" "$REPO/patches/$2"
}

# in_tree TREE FILE: the file, whether it is checked out or not.
in_tree() {
	cat "$1/$2" 2>/dev/null || git -C "$1" show "HEAD:$2" 2>/dev/null
}

# series_files: the new files of the whole series.
series_files() {
	series | cut -d' ' -f2- -s | xargs -r -n 1
}
