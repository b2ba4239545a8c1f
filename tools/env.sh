# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Settings and messages that all scripts share. Sourced, never run.
#
# shellcheck disable=SC2034 # the scripts that source this use the variables

set -euo pipefail

# Scripts read the output of tools.
export LC_ALL=C${IN_TOOLBOX:+.UTF-8}

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=$(realpath -m "${XDG_CACHE_HOME:-$HOME/.cache}/iptverdict")
BUILD=$REPO/build

# The supported kernels, by the version of their Debian source package; and version,
# configuration and compiler of the kernel to build.
KERNELS="7.3 7.2 6.12 6.1"
KVER=${KVER:-${KERNELS%% *}}
CONFIG=${CONFIG:-default}
COMPILER=${COMPILER:-clang}

# The patched tree of this clone. The object directory is below the source, so
# that the compiler sees relative paths only, which the compiler cache needs.
KTREE=$BUILD/linux-$KVER
OBJDIR=$KTREE/build-$CONFIG
[[ $COMPILER == clang ]] || OBJDIR+=-$COMPILER
# Debian's own kernel, which is tested with the selftests of the newest.
[[ $CONFIG != stock ]] || KTREE=$BUILD/linux-${KERNELS%% *} OBJDIR=$BUILD/stock-$KVER
KDIR=${KDIR:-$OBJDIR}

# The selftests and the samples, built for this kernel.
SELFTESTS=$OBJDIR/kselftest/kselftest_install/iptverdict
SAMPLES=$OBJDIR/samples/libbpf

# The command iptverdict, which runs on any kernel.
COMMAND=$BUILD/command/iptverdict

# Where make packages and make deb write.
PACKAGES=${PACKAGES:-$BUILD/deb}

# The output of long commands; those for two kernels can run at the same time.
LOG=$BUILD/log/$KVER-$CONFIG-$COMPILER

# The programs and the results of the bench, for this kernel.
BENCH=$BUILD/bench
[[ $KVER-$CONFIG == "${KERNELS%% *}-default" ]] || BENCH+=-$KVER-$CONFIG

# die TEXT: reports an error and ends the script.
die() {
	echo "iptverdict: $*" >&2
	exit 1
}

[[ $REPO$CACHE != *[[:space:]:]* ]] ||
	die "the kernel does not build below a path that contains a blank or a colon: move the repository ($REPO) or the cache ($CACHE, XDG_CACHE_HOME=)"
[[ $COMPILER == clang || $COMPILER == gcc ]] ||
	die "COMPILER=$COMPILER: unknown; use clang or gcc"

# say TEXT: reports progress, on standard error.
say() {
	echo "== $*" >&2
}

# choose WHAT KNOWN WORD...: fails unless each WORD is in the list KNOWN. WHAT says
# what the words are.
choose() {
	local what=$1 known=$2 word
	shift 2
	for word; do
		[[ " $known " == *" $word "* ]] || die "unknown $what: $word; use one of: $known"
	done
}

# step NAME COMMAND...: runs a long command with its output in $LOG/NAME, reports progress
# and the time it took; on failure, prints the end of the log.
step() {
	local name=$1 log=$LOG/${1// /-} start=$SECONDS next=15 pid rc=0
	shift
	mkdir -p "$LOG"
	say "$name ..."
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	# shellcheck disable=SC2064 # expand $pid now
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
		# A full disk can keep the error message out of the log.
		if grep -q 'No space left on device' "$log" ||
			df --output=avail "$BUILD" "$CACHE" | awk 'NR > 1 && $1 < 1024 { full = 1 } END { exit !full }'; then
			die "$name: no space left on device: $(df -h --output=target,avail "$BUILD" "$CACHE" | tail -n +2 | sort -u | tr -s ' \n' ' ')"
		fi
		die "$name failed (status $rc); see $log"
	fi
	say "$name: $((SECONDS - start)) s"
}

# in_toolbox "$@": runs the calling script in the toolbox. The first command of a script
# that needs the tools there.
in_toolbox() {
	[[ ${IN_TOOLBOX:-} ]] || exec "$REPO/tools/toolbox/enter" "$(realpath "$0")" "$@"
}
