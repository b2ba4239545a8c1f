# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The supported kernels, the series as each of them gets it, and their build. Sourced
# after env.sh.
#
# shellcheck disable=SC2034 # the scripts that source this use the variables

# The kernels that the tests boot, and the first that gets the Rust part of the series.
BOOT_KERNELS="7.3 6.12"
RUST_SINCE=7.2

# The pristine source: a bare git repository with one commit, shared by all clones.
KBASE=$CACHE/linux-$KVER.git

# Debian suites that have kernel source packages.
KERNEL_SUITES="trixie trixie-backports bookworm"

# The kernels of Debian for which there are packages for DKMS.
DKMS_KERNELS="7.3 6.12 6.1"

# Debian's own kernel that make bench compares with: the last one in which the calls of a
# kretprobe share a lock.
STOCK_KVER=5.10
STOCK_SUITE=bullseye
STOCK_ROOT=$CACHE/debian-$STOCK_KVER

# kmake ARGS: runs make in the kernel tree of this clone. In the toolbox only.
kmake() {
	local llvm=()
	[[ $COMPILER == gcc ]] || llvm=(LLVM=1)
	make -C "$KTREE" O="$OBJDIR" ${llvm[@]+"${llvm[@]}"} LOCALVERSION= KBUILD_BUILD_TIMESTAMP=@0 \
		KBUILD_BUILD_USER=iptverdict KBUILD_BUILD_HOST=toolbox -j"$(nproc)" "$@"
}

# since VERSION: succeeds if KVER is VERSION or later.
since() {
	printf '%s\n' "$1" "$KVER" | sort --version-sort --check=silent
}

# rust_kernel: succeeds if KVER gets the Rust part of the series.
rust_kernel() {
	since "$RUST_SINCE"
}

# lost_options: prints the options of the fragment on standard input that are not in
# $OBJDIR/.config: Kconfig silently drops options with unmet dependencies.
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

# series: prints patches/series as KVER gets it: on each line a patch, then its new files.
series() {
	local change=
	if ! rust_kernel; then
		change="/-rust-/,\$d"
	elif ! since 7.3; then
		# The debugfs patch uses an item that 7.3 added.
		change='/-rust-debugfs-/i before-7.3/rust-module-make-THIS_MODULE-known-by-type.patch'
	fi
	sed -e 's/#.*//' -e '/^\s*$/d' -e "$change" "$REPO/patches/series"
}

# patch_for TREE PATCH: prints a patch of patches/, adapted to the kernel tree TREE.
patch_for() {
	local edits=(-e '') core=net/netfilter/nf_tables_core end='' other=/dev/null
	# The name of the file before 7.3.
	! in_tree "$1" rust/kernel/net.rs >/dev/null ||
		edits+=(-e 's,rust/kernel/net/mod\.rs,rust/kernel/net.rs,g')
	# Older kernels cannot call an event without testing whether it is enabled.
	in_tree "$1" include/linux/tracepoint.h | grep -c trace_call__ >/dev/null ||
		edits+=(-e 's/trace_call__/trace_/g')
	# In older kernels, nft_do_chain() returns in another way.
	if grep -q "^+++ b/$core.c" "$REPO/patches/$2" && ! in_tree "$1" $core.c | grep -c 'DROP, ELOOP' >/dev/null; then
		other=$REPO/patches/before-7.3/${core##*/}-6.12.patch
		in_tree "$1" $core.c | grep -c NF_DROP_REASON >/dev/null || other=${other/6.12/6.1}
		end="\\,^diff --git a/$core.c,,\$d"
	fi
	{
		sed -e "$end" "$REPO/patches/$2"
		cat "$other"
	} | sed "${edits[@]}"
}

# in_tree TREE FILE: prints FILE, whether or not it is checked out.
in_tree() {
	cat "$1/$2" 2>/dev/null || git -C "$1" show "HEAD:$2" 2>/dev/null
}

# series_files: prints the new files of the whole series.
series_files() {
	series | cut -d' ' -f2- -s | xargs -r -n 1
}
