# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The guest that virtme-run boots: the kernel in $KDIR, or KIMG, with the toolbox as its root
# file system. Sourced by boot.
#
# shellcheck disable=SC2034,SC2154 # boot uses, and sets, the variables

kimg=${KIMG:-$KDIR/arch/x86/boot/bzImage}
[[ -f $kimg ]] || die "no kernel $kimg: build it with 'make kernel'"
name="linux-$KVER $CONFIG"
kernel=(--kdir "$KDIR")
if [[ ${KIMG:-} ]]; then
	name=${KIMG##*/}
	kernel=(--kimg "$KIMG")
fi

# bpftrace needs the headers of the kernel.
environment="export BPFTRACE_KERNEL_SOURCE='$KTREE' BPFTRACE_KERNEL_BUILD='$KDIR'"

# link_modules: prepares the modules as virtme-run does, but one guest at a time: guests that
# start together would break each other's links.
link_modules() (
	cd "$KDIR" || exit
	exec 9>.virtme_mods.lock
	flock 9
	[[ .virtme_mods/lib/modules/0.0.0/modules.dep -nt modules.order ]] || virtme-prep-kdir-mods
)
[[ ${KIMG:-} || ! -e $KDIR/modules.order ]] || link_modules

args=(
	"${kernel[@]}" --mods auto --force-9p --cwd "$cwd"
	--overlay-rwdir /etc --rwdir "$REPO"
	--memory "${MEMORY:-2G}" --cpus "${VCPUS:-2}"
	# Since 7.3, 9p rejects an empty source.
	--kopt root=/dev/root
	# The root is read-only, so its files can be cached: tests run three times as fast.
	--kopt "rootflags=version=9p2000.L,trans=virtio,access=any,cache=loose"
	# With slab_debug, the kernel would print addresses unhashed.
	--kopt hash_pointers=always
)
if ! accelerated; then
	args+=(--disable-kvm)
	[[ ! ${TCG_THREAD:-} ]] || QEMU_OPTS+=" -accel tcg,thread=$TCG_THREAD"
fi
for opt in ${KERNEL_OPTS:-}; do
	args+=(--kopt "$opt")
done

# Packaging, which links the kernel again, waits for guests that boot it.
if [[ ! ${KIMG:-} ]]; then
	exec 8>"$KDIR/.boot.lock"
	flock --shared 8
fi

# virtme-run resolves the directories of the guest relative to the current directory.
cd /

run_shell() {
	# shellcheck disable=SC2086 # QEMU_OPTS is a list of words
	exec virtme-run "${args[@]}" --qemu-opts ${QEMU_OPTS:-}
}

# run_guest: runs the guest once, with its console in $log.
run_guest() {
	# QEMU opens its output again and would truncate a file: give it pipes. virtme-run
	# sends the serial console to /dev/null: send it to a file.
	{
		# shellcheck disable=SC2086 # QEMU_OPTS is a list of words
		timeout --kill-after=5 "${VM_TIMEOUT:-1800}" virtme-run "${args[@]}" \
			--kopt loglevel=7 --script-sh "bash '$dir/init'" \
			--qemu-opts -set "chardev.console.path=$log" ${QEMU_OPTS:-} 2>&1 >&3 3>&- | cat >&2
	} 3> >(cat)
}
