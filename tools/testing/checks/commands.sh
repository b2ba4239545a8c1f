#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The commands: what they do with good input, and the one clear line that they
# say of bad input.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

cd "$REPO"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

check "make help" make help

# The build environment.
says() {
	local want=$1 got
	shift
	got=$("$@" 2>/dev/null)
	[[ $got == "$want" ]] || {
		echo "said: $got"
		return 1
	}
}
# shellcheck disable=SC2016 # the shell in the toolbox is to expand it
check "make toolbox takes a command as it is" \
	says "$OBJDIR \"x\" 3" make --no-print-directory toolbox CMD='echo "$KDIR \"x\" $((1 + 2))"'
ends_with() {
	local want=$1 rc=0
	shift
	"$@" || rc=$?
	((rc == want))
}
check "its status is the command's" ends_with 3 tools/toolbox/enter bash -c 'exit 3'
check "and that of make is not zero" ends_with 2 make toolbox CMD='exit 3'
mirror_gone() {
	XDG_CACHE_HOME=$tmp/cache MIRROR=http://localhost:9/debian tools/toolbox/build
}
check_line "no mirror" ! "toolbox failed" mirror_gone
check "and nothing is left in its place" bash -c "! ls -d '$tmp'/cache/iptverdict/toolbox-* 2>/dev/null | grep -v new"
no_userns() {
	mkdir -p "$tmp/bin"
	printf '#!/bin/sh\nexit 1\n' >"$tmp/bin/unshare"
	chmod +x "$tmp/bin/unshare"
	PATH=$tmp/bin:$PATH tools/toolbox/enter true
}
check_line "no user namespaces" ! "may not create user namespaces" no_userns

# The kernel.
check_line "a version that there is not" 2 "no package linux-source-9.9; it has these versions: .*7\.3" make KVER=9.9 kernel
check_line "a configuration that there is not" 2 "no configuration CONFIG=fancy: there are default" make CONFIG=fancy kernel
full_disk() {
	bash -c ". '$REPO/tools/env.sh'; BUILD=$tmp; step full-disk dd if=/dev/zero of=/dev/full bs=1 count=1"
}
check_line "a full disk" ! "full-disk: no space left on device" full_disk

# The module.
check_line "make patches of another kernel" 2 "patches/ are those of linux-7.3" make patches KVER=6.12
check_line "make deb of a kernel without Rust" 2 "for linux-7.2 and later" make deb KVER=6.12
check_line "make run of a kernel without Rust" 2 "for linux-7.2 and later" make run KVER=6.12
check_line "a compiler that there is not" 2 "no compiler COMPILER=tcc" make kernel COMPILER=tcc
check_line "KDIR that there is not" 2 "no such directory" make module KDIR="$tmp/none"
check_line "KDIR that is none" 2 "is no kernel build directory" make module KDIR="$tmp"
mkdir -p "$tmp/kdir/include/config"
touch "$tmp/kdir/Makefile" "$tmp/kdir/include/config/auto.conf"
check_line "KDIR of a kernel without Rust" 2 "built without Rust" make module KDIR="$tmp/kdir"
echo CONFIG_RUST=y >"$tmp/kdir/include/config/auto.conf"
check_line "KDIR of a kernel without the event" 2 "has no ipt_verdict event" make module KDIR="$tmp/kdir"
check "make module" make module
check "which is a module of that kernel" \
	bash -c "tools/toolbox/enter modinfo -F vermagic build/module/samples/rust/iptverdict.ko | grep -q '^$KVER'"

# The user's own tree.
mapfile -t changed < <(git -C "$KTREE" diff --name-only --diff-filter=M origin/base HEAD)
mapfile -t added < <(git -C "$KTREE" diff --name-only --diff-filter=A origin/base HEAD)
snapshot() {
	(cd "$tmp/own" && find . -path ./.git -prune -o -type f -print0 | sort -z | xargs -0 sha256sum)
}
has_series() {
	local file
	for file in "${changed[@]}" "${added[@]}"; do
		git -C "$KTREE" show "HEAD:$file" | cmp - "$tmp/own/$file" || return 1
	done
}
check_line "apply without KSRC" 2 "say which kernel tree" make apply
check_line "apply to what is not there" 2 "no such directory" make apply KSRC="$tmp/none"
check_line "apply to no kernel tree" 2 "is no kernel source tree" make apply KSRC="$tmp"
own_tree "$tmp/own"
check "apply to a tree without git" make apply KSRC="$tmp/own"
check "puts in all of it" has_series
before=$(snapshot)
check_line "a second time" 2 "already" make apply KSRC="$tmp/own"
check "changes nothing" test "$before" == "$(snapshot)"
own_tree "$tmp/own"
in_git "$tmp/own"
check "apply to a git tree" make apply KSRC="$tmp/own"
check "puts in all of it" has_series
check "as commits" test "$(git -C "$tmp/own" rev-list --count HEAD)" == $((1 + $(series | wc -l)))
own_tree "$tmp/own"
sed -i 's/^VERSION =.*/VERSION = 6/; s/^PATCHLEVEL =.*/PATCHLEVEL = 12/' "$tmp/own/Makefile"
in_git "$tmp/own"
check "apply to an older kernel" make apply KSRC="$tmp/own"
check "puts in the C part" test -f "$tmp/own/include/trace/events/arptables.h" -a \
	! -e "$tmp/own/rust/kernel/percpu.rs"
own_tree "$tmp/own"
# The patch of the probes is the first that touches this file.
sed -i 's/pub use declare_trace;/pub use somebody_elses;/' "$tmp/own/rust/kernel/tracepoint.rs"
before=$(snapshot)
check_line "apply to a tree that has changed too much" 2 "patches/[0-9]+-rust-tracepoint-.* does not apply .*nothing was changed" make apply KSRC="$tmp/own"
check "changes nothing" test "$before" == "$(snapshot)"
in_git "$tmp/own"
before=$(git -C "$tmp/own" rev-parse HEAD)
check_line "the same, with git" 2 "patches/[0-9]+-rust-tracepoint-.* does not apply .*nothing was changed" make apply KSRC="$tmp/own"
check "changes nothing" test "$before" == "$(git -C "$tmp/own" rev-parse HEAD)"
own_tree "$tmp/own"
in_git "$tmp/own"
echo >>"$tmp/own/MAINTAINERS"
before=$(snapshot)
check_line "apply to a tree with uncommitted changes" 2 "commit them first; nothing was changed" make apply KSRC="$tmp/own"
check "changes nothing" test "$before" == "$(snapshot)"

# The guest.
check_line "QEMU that dies" 91 "QEMU ended before the command" \
	env QEMU_OPTS=-no-such-option tools/testing/vm/run true
check_line "a guest that hangs" 92 "did not end within 8 s" env VM_TIMEOUT=8 tools/testing/vm/run 'sleep 1000'
check_line "a kernel that complains" 90 "the kernel complained" \
	tools/testing/vm/run 'echo "BUG: on purpose" >/dev/kmsg'
check_line "a kernel image that is not there" 1 "no kernel /nowhere/vmlinuz" \
	env KIMG=/nowhere/vmlinuz tools/testing/vm/run true
check_line "an unknown part of the bench" 1 "no part speed of the bench: there are cost" \
	tools/testing/bench/run speed
check_line "an unknown part of the soak" 2 "no part speed of the soak: there are oracle" make soak PARTS=speed
check_line "an unknown mechanism" 1 "no mechanism perl: there are iptverdict" \
	env MECHANISMS=perl tools/testing/bench/run cost
check "the status of a command in the guest" ends_with 7 tools/testing/vm/run 'exit 7'
in_guest() {
	local output
	# shellcheck disable=SC2016 # the shell in the guest is to expand it
	output=$(VCPUS=1 make --no-print-directory vm CMD='id -u; nproc; pwd; echo $((40 + 2)) | tee build/written' 2>/dev/null)
	[[ $output == $'0\n1\n'"$REPO"$'\n42' && $(cat build/written) == 42 ]] || {
		echo "$output"
		return 1
	}
}
check "make vm: root, VCPUS, the repository at its own path, read-write" in_guest

done_testing
