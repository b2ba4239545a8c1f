#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The commands of the Makefile: what they do, and the one line with which they reject bad
# input.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/kernel/lib.sh
. "$REPO/tools/kernel/lib.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

cd "$REPO"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

check "make help: succeeds" make help

# The toolbox.
prints() {
	local want=$1 got
	shift
	got=$("$@" 2>/dev/null)
	[[ $got == "$want" ]] || {
		echo "printed: $got"
		return 1
	}
}
# shellcheck disable=SC2016 # the shell in the toolbox is to expand it
check "make toolbox: passes CMD to the shell unchanged" \
	prints "$OBJDIR \"x\" 3" make --no-print-directory toolbox CMD='echo "$KDIR \"x\" $((1 + 2))"'
ends_with() {
	local want=$1 rc=0
	shift
	"$@" || rc=$?
	((rc == want))
}
check "toolbox/enter: exits with the status of the command" ends_with 3 tools/toolbox/enter bash -c 'exit 3'
check "make toolbox: fails if the command fails" ends_with 2 make toolbox CMD='exit 3'
mirror_gone() {
	XDG_CACHE_HOME=$tmp/cache MIRROR=http://localhost:9/debian tools/toolbox/build-toolbox
}
check_line "toolbox: an unreachable mirror is an error" ! "toolbox failed" mirror_gone
check "toolbox: a failed build leaves no toolbox" bash -c "! ls -d '$tmp'/cache/iptverdict/toolbox-* 2>/dev/null | grep -v '\.new\$'"
no_userns() {
	mkdir -p "$tmp/bin"
	printf '#!/bin/sh\nexit 1\n' >"$tmp/bin/unshare"
	chmod +x "$tmp/bin/unshare"
	PATH=$tmp/bin:$PATH tools/toolbox/enter true
}
check_line "toolbox: needs user namespaces" ! "may not create user namespaces" no_userns

# The kernel.
check_line "kernel: rejects an unknown version" 2 "no package linux-source-9.9; use KVER= with one of: .*7\.3" make KVER=9.9 kernel
check_line "kernel: rejects an unknown configuration" 2 "CONFIG=fancy: unknown; use default" make CONFIG=fancy kernel
full_disk() {
	bash -c ". '$REPO/tools/env.sh'; BUILD=$tmp; step full-disk dd if=/dev/zero of=/dev/full bs=1 count=1"
}
check_line "step: reports a full disk" ! "full-disk: no space left on device" full_disk

# Arguments that do not fit together, or are unknown.
check_line "make patches: rejects another kernel" 2 "patches/ is for linux-7.3" make patches KVER=6.12
check_line "make deb: rejects a kernel without Rust" 2 "needs Rust, in linux-7.2 or later" make deb KVER=6.12
check_line "make run: rejects a kernel without Rust" 2 "needs Rust, in linux-7.2 or later" make run KVER=6.12
check_line "make run: rejects an unknown KERNEL" 2 "unknown KERNEL: fancy; use one of: stock patched" make run KERNEL=fancy
check_line "make run: rejects a kernel that Debian does not have" 2 "Debian has no kernel 7.2; use KVER=6.1, 6.12 or 7.3" make run KVER=7.2
check_line "kernel: rejects an unknown compiler" 2 "COMPILER=tcc: unknown; use clang or gcc" make kernel COMPILER=tcc
check_line "make module: rejects a KDIR that does not exist" 2 "no such directory" make module KDIR="$tmp/none"
check_line "make module: rejects a KDIR that is not a kernel build directory" 2 "is not a kernel build directory" make module KDIR="$tmp"
mkdir -p "$tmp/kdir/include/config"
touch "$tmp/kdir/Makefile" "$tmp/kdir/include/config/auto.conf"
check_line "make module: rejects a kernel without Rust" 2 "built without Rust" make module KDIR="$tmp/kdir"
echo CONFIG_RUST=y >"$tmp/kdir/include/config/auto.conf"
check_line "make module: rejects a kernel without the event" 2 "has no ipt_verdict event" make module KDIR="$tmp/kdir"
check "make module: succeeds" make module
check "make module: succeeds after interruptions" interrupt "INT TERM KILL" true make module
check "make module: five runs were interrupted" test "$(wc -l <"$tmp/interrupted")" -eq 5
check "make module: the module has the version of the kernel" \
	bash -c "tools/toolbox/enter modinfo -F vermagic build/module/samples/rust/iptverdict.ko | grep -q '^$KVER'"

# make apply.
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
check_line "apply: requires KSRC" 2 "no kernel tree given" make apply
check_line "apply: rejects a KSRC that does not exist" 2 "no such directory" make apply KSRC="$tmp/none"
check_line "apply: rejects a directory that is not a kernel tree" 2 "is not a kernel source tree" make apply KSRC="$tmp"
own_tree "$tmp/own"
check "apply: succeeds on a plain tree" make apply KSRC="$tmp/own"
check "apply: a plain tree gets the whole series" has_series
before=$(snapshot)
check_line "apply: rejects a tree that has the series" 2 "already" make apply KSRC="$tmp/own"
check "apply: a second run leaves the tree unchanged" test "$before" == "$(snapshot)"
own_tree "$tmp/own"
in_git "$tmp/own"
check "apply: succeeds on a git tree" make apply KSRC="$tmp/own"
check "apply: a git tree gets the whole series" has_series
check "apply: a git tree gets one commit per patch" test "$(git -C "$tmp/own" rev-list --count HEAD)" == $((1 + $(series | wc -l)))
# A user who signs commits, with hooks, and with patches in another form.
mkdir "$tmp/hooks"
printf '#!/bin/sh\nexit 1\n' >"$tmp/hooks/pre-commit"
chmod +x "$tmp/hooks/pre-commit"
cat >"$tmp/gitconfig" <<E
[commit]
	gpgSign = true
[gpg]
	program = false
[diff]
	noprefix = true
[core]
	hooksPath = $tmp/hooks
E
own_tree "$tmp/own"
check "apply: succeeds if git signs commits and runs hooks" env GIT_CONFIG_GLOBAL="$tmp/gitconfig" make apply KSRC="$tmp/own"
check "apply: if git signs commits and runs hooks, the tree gets the whole series" has_series
own_tree "$tmp/own"
sed -i 's/^VERSION =.*/VERSION = 6/; s/^PATCHLEVEL =.*/PATCHLEVEL = 12/' "$tmp/own/Makefile"
in_git "$tmp/own"
check "apply: succeeds on a kernel before the Rust part" make apply KSRC="$tmp/own"
check "apply: a kernel before the Rust part gets the C part only" test -f "$tmp/own/include/trace/events/arptables.h" -a \
	! -e "$tmp/own/rust/kernel/percpu.rs"
own_tree "$tmp/own"
# The first patch that changes this file is that of the probes.
sed -i 's/pub use declare_trace;/pub use somebody_elses;/' "$tmp/own/rust/kernel/tracepoint.rs"
before=$(snapshot)
check_line "apply: reports the patch that conflicts with a plain tree" 2 "patches/[0-9]+-rust-tracepoint-.* does not apply .*nothing was changed" make apply KSRC="$tmp/own"
check "apply: a conflict leaves the plain tree unchanged" test "$before" == "$(snapshot)"
in_git "$tmp/own"
before=$(git -C "$tmp/own" rev-parse HEAD)
check_line "apply: reports the patch that conflicts with a git tree" 2 "patches/[0-9]+-rust-tracepoint-.* does not apply .*nothing was changed" make apply KSRC="$tmp/own"
check "apply: a conflict leaves the git tree unchanged" test "$before" == "$(git -C "$tmp/own" rev-parse HEAD)"
own_tree "$tmp/own"
in_git "$tmp/own"
echo >>"$tmp/own/MAINTAINERS"
before=$(snapshot)
check_line "apply: rejects uncommitted changes" 2 "commit them first; nothing was changed" make apply KSRC="$tmp/own"
check "apply: leaves uncommitted changes unchanged" test "$before" == "$(snapshot)"

# The guest.
check_line "vm/boot: reports that QEMU ended early" 91 "QEMU ended before the command" \
	env QEMU_OPTS=-no-such-option tools/testing/vm/boot true
# killed: a guest whose first QEMU is killed while it boots.
killed() {
	local rc=0
	QEMU_OPTS="-name victim" tools/testing/vm/boot 'exit 7' &
	timeout 60 sh -c 'until pkill -KILL -f "^[^ ]*qemu-system-x86_64 .*-name victim"; do sleep 0.05; done'
	wait $! || rc=$?
	((rc == 7))
}
boots_again() {
	local output
	output=$(tools/toolbox/enter bash -c "$(declare -f killed); killed" 2>&1) || return 1
	[[ $(grep -c 'booting once more' <<<"$output") == 1 ]]
}
check "vm/boot: boots once more if QEMU dies before the command has begun" boots_again
powers_off() {
	local output
	rm -f build/runs
	output=$(tools/testing/vm/boot 'echo run >>build/runs; sync; poweroff -f' 2>&1) && return 1
	[[ $(cat build/runs) == run ]] && ! grep 'booting once more' <<<"$output"
}
check "vm/boot: never runs a command twice" powers_off
check_line "vm/boot: kills a guest after VM_TIMEOUT" 92 "did not end within 8 s" env VM_TIMEOUT=8 tools/testing/vm/boot 'sleep 1000'
check_line "vm/boot: a report in the log is an error" 90 "contains a report" \
	tools/testing/vm/boot 'echo "BUG: on purpose" >/dev/kmsg'
check_line "vm/boot: rejects a KIMG that does not exist" 1 "no kernel /nowhere/vmlinuz" \
	env KIMG=/nowhere/vmlinuz tools/testing/vm/boot true
check_line "make bench: rejects an unknown part" 1 "unknown part of the bench: speed; use one of: cost" \
	tools/testing/bench/bench speed
check_line "make soak: rejects an unknown part" 2 "unknown part of the soak: speed; use one of: boots" make soak PARTS=speed
check_line "make bench: rejects an unknown mechanism" 1 "unknown mechanism: perl; use one of: iptverdict" \
	env MECHANISMS=perl tools/testing/bench/bench cost
second_bench() {
	local bench i rc=1
	mkdir -p "$BENCH"
	exec 8>"$BENCH/lock"
	# A bench that runs has it already.
	flock --nonblock 8 || :
	tools/testing/bench/bench cost >"$tmp/bench" 2>&1 8>&- &
	bench=$!
	for ((i = 0; i < 120 && rc; i++)); do
		sleep 1
		! grep -qx "== bench: waiting for another one in this clone" "$tmp/bench" || rc=0
	done
	kill -KILL $bench
	exec 8>&-
	cat "$tmp/bench"
	return $rc
}
check "make bench: waits for another one in the same clone" second_bench
git clone --quiet "$REPO" "$tmp/clone"
check_line "run: rejects an unknown test" 1 "unknown test: speed; use one of: selftests" \
	"$tmp/clone/tools/testing/run" speed
check "run: builds nothing for an unknown test" test ! -e "$tmp/clone/build"
check "vm/boot: exits with the status of the command" ends_with 7 tools/testing/vm/boot 'exit 7'
in_guest() {
	local output
	# shellcheck disable=SC2016 # the shell in the guest is to expand it
	output=$(VCPUS=1 make --no-print-directory vm CMD='id -u; nproc; pwd; echo $((40 + 2)) | tee build/written' 2>/dev/null)
	[[ $output == $'0\n1\n'"$REPO"$'\n42' && $(cat build/written) == 42 ]] || {
		echo "$output"
		return 1
	}
}
check "make vm: runs as root, with VCPUS CPUs, in the repository, which is writable" in_guest

done_testing
