# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The guest that boots Debian's own kernel, initrd and init from the disk in $OBJDIR, and has the
# repository by virtiofs. What changes on the disk is lost when the guest ends. Sourced by boot.
#
# shellcheck disable=SC2034,SC2054,SC2154 # boot uses, and sets, the variables

kimg=$OBJDIR/vmlinuz
[[ -f $kimg ]] || die "no disk in $OBJDIR: build it with 'CONFIG=stock make kernel'"
name="Debian's linux $(<"$OBJDIR/release")"
environment=

# The path of a socket is short.
socket=$(mktemp --dry-run)
# What changes on the disk.
export TMPDIR=$dir
memory=${MEMORY:-2G}
args=(
	-nodefaults -no-user-config -display none -no-reboot
	-m "$memory" -smp "${VCPUS:-2}"
	-object "memory-backend-memfd,id=memory,size=$memory,share=on" -machine pc,memory-backend=memory
	-kernel "$kimg" -initrd "$OBJDIR/initrd.img"
	-drive "file=$OBJDIR/disk.img,format=raw,if=virtio,snapshot=on"
	-chardev "socket,id=repo,path=$socket" -device vhost-user-fs-pci,chardev=repo,tag=repo
	-device virtio-serial -device virtserialport,chardev=output,name=output
	-device virtserialport,chardev=errors,name=errors
	-device virtio-rng-pci
)
if accelerated; then
	args+=(-accel kvm -cpu host)
else
	args+=(-cpu max)
	[[ ${QEMU_OPTS:-} == *-icount* ]] || args+=(-accel "tcg${TCG_THREAD:+,thread=$TCG_THREAD}")
fi

# serve: starts the server of the repository, which ends with QEMU.
serve() {
	/usr/libexec/virtiofsd --socket-path "$socket" --shared-dir "$REPO" --sandbox none --seccomp none \
		--log-level error &
	server=$!
	while [[ ! -S $socket ]]; do
		kill -0 $server || die "virtiofsd has ended early"
		sleep 0.05
	done
}

# append COMMAND: prints the command line of the kernel: systemd runs COMMAND once the repository and
# the port for the output are there, and ends the guest.
append() {
	local wait="until test -e /dev/virtio-ports/errors; do modprobe -q virtio_console; sleep 0.1; done"
	echo "root=/dev/vda rw console=ttyS0 loglevel=7 panic=-1 systemd.show_status=false ${KERNEL_OPTS:-}" \
		"systemd.run_success_action=poweroff systemd.run_failure_action=poweroff" \
		"systemd.run=\"/bin/sh -c 'mkdir -p $REPO && mount -t virtiofs repo $REPO && $wait && exec $1'\""
}

run_shell() {
	serve
	# shellcheck disable=SC2086 # QEMU_OPTS is a list of words
	exec qemu-system-x86_64 "${args[@]}" -serial mon:stdio -chardev null,id=output -chardev null,id=errors ${QEMU_OPTS:-} \
		-append "$(append "setsid --ctty bash --login <>/dev/ttyS0 >&0 2>&0")"
}

# run_guest: runs the guest once, with its console in $log.
run_guest() {
	local rc=0
	serve
	# QEMU opens its outputs again and would truncate files: give it pipes.
	# shellcheck disable=SC2086 # QEMU_OPTS is a list of words
	timeout --kill-after=5 "${VM_TIMEOUT:-1800}" \
		qemu-system-x86_64 "${args[@]}" -serial "file:$log" -chardev file,id=output,path=/dev/stdout \
		-chardev file,id=errors,path=/dev/stderr ${QEMU_OPTS:-} \
		-append "$(append "bash $dir/init >/dev/virtio-ports/output 2>/dev/virtio-ports/errors")" \
		</dev/null 2> >(cat >&2) | cat || rc=$?
	kill $server 2>/dev/null || :
	wait $server || :
	rm -f "$socket" "$socket.pid"
	return $rc
}
