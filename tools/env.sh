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

KVER=${KVER:-7.3}
CONFIG=${CONFIG:-default}

# The patched tree of this clone, and the object directory in it: below the
# source, so that the compiler sees only relative paths and the compiler cache
# serves every clone.
KTREE=$BUILD/linux-$KVER
OBJDIR=$KTREE/build-$CONFIG
KDIR=${KDIR:-$OBJDIR}

# The pristine source, a bare git repository with one commit, shared by clones.
KBASE=$CACHE/linux-$KVER.git

# Debian suites: the toolbox, and where kernel source packages are looked for.
SUITE=trixie
KERNEL_SUITES="trixie trixie-backports bookworm"

# The toolbox is named after what it is made of: a changed list is a new one.
TOOLBOX=$CACHE/toolbox-$SUITE-$(cat "$REPO"/tools/toolbox/{packages,build,customize} | sha256sum | cut -c1-12)

die() {
	echo "iptverdict: $*" >&2
	exit 1
}

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
		if grep -q 'No space left on device' "$log"; then
			die "$name: no space left on device: $(df -h --output=target,avail "$BUILD" "$CACHE" | tail -n +2 | sort -u | tr -s ' \n' ' ')"
		fi
		die "$name failed (status $rc); the whole log is $log"
	fi
	say "$name: $((SECONDS - start)) s"
}

# need_userns: the toolbox is entered in a user namespace, also by root.
need_userns() {
	unshare --user --map-root-user true 2>/dev/null ||
		die "this user may not create user namespaces: allow it (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces)"
}

# in_toolbox "$@": the rest of the calling script runs in the toolbox.
in_toolbox() {
	[[ ${IN_TOOLBOX:-} ]] || exec "$REPO/tools/toolbox/enter" "$(realpath "$0")" "$@"
}

# series: patches/series without comments: a patch, and the new files of that patch.
series() {
	sed -e 's/#.*//' -e '/^\s*$/d' "$REPO/patches/series"
}

# series_files: the new files of the whole series.
series_files() {
	series | cut -d' ' -f2- -s | xargs -r -n 1
}
