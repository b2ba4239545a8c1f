#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# make deb: the packages install into a fresh Debian system, which boots their kernel and
# loads the module; a user's configuration gets the required options and no others.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/toolbox/lib.sh
. "$REPO/tools/toolbox/lib.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

root=$BUILD/test/root
release=$(cat "$OBJDIR/include/config/kernel.release")

check "make deb: succeeds" make --no-print-directory -C "$REPO" deb

# A root with packages from the toolbox's mirror, and with ours.
# shellcheck disable=SC2016 # mmdebstrap expands it
install_packages() {
	local uri args=()
	uri=$(mirror)
	[[ ! $uri ]] || args=("deb $uri $SUITE main")
	rm -rf "$root"
	mkdir -p "$root"
	mmdebstrap --variant=minbase --include=kmod,udev,iptables,iproute2,iputils-ping,procps \
		--customize-hook="copy-in $(printf '%s ' "$BUILD"/deb/linux-*.deb) /root" \
		--customize-hook='chroot "$1" sh -c "dpkg -i /root/linux-image-*.deb"' \
		--customize-hook='chroot "$1" sh -c "dpkg -i --force-depends /root/linux-headers-*.deb"' \
		"$SUITE" - ${args[@]+"${args[@]}"} |
		tar -x -C "$root" --no-same-owner --exclude='./dev/*'
	[[ -f $root/boot/vmlinuz-$release && -f $root/lib/modules/$release/kernel/samples/rust/iptverdict.ko ]]
}
check "make deb: the packages install into a fresh Debian system" install_packages

# shellcheck disable=SC2016 # the shell in the guest is to expand it
boots() {
	local said
	said=$("$REPO/tools/toolbox/enter" bash -c 'cd / && virtme-run --kimg "$1/boot/vmlinuz-$2" --root "$1" \
		--mods use --force-9p --disable-kvm --memory 1G --kopt root=/dev/root \
		--kopt rootflags=version=9p2000.L,trans=virtio,access=any,cache=loose --script-sh "
			modprobe iptverdict && ip link set lo up && iptables-legacy -A INPUT -p icmp -j ACCEPT &&
			ping -qc 2 127.0.0.1 >/dev/null && uname -r && cat /sys/kernel/debug/iptverdict/stats"' \
		boots "$root" "$release" </dev/null)
	echo "$said"
	grep -qx "$release" <<<"$said" && grep -qx 'ipv4 filter INPUT ACCEPT 4 336' <<<"$said"
}
check "make deb: the installed kernel boots and its module counts" boots

# The toolbox has the compilers; nothing of the kernel's build directory is in the headers.
headers=$root/usr/src/linux-headers-$release
module_from_headers() {
	rm -rf "$BUILD/module"
	KDIR=$headers "$REPO/tools/kernel/module" &&
		grep -aq "vermagic=$release " "$BUILD/module/samples/rust/iptverdict.ko"
}
check "make module: builds against the installed headers" module_from_headers
rm -f "$headers/rust/libkernel.rmeta"
check_line "make module: rejects headers without Rust metadata and configuration" 1 "lacks what Rust modules need" \
	env KDIR="$headers" "$REPO/tools/kernel/module"

# A user's configuration: without the required options, and with its own LOCALVERSION.
own=$BUILD/test/own.config
configure() {
	CONFIG=own "$REPO/tools/kernel/configure-own" "$own"
}
grep -vE 'RUST|^CONFIG_(SAMPLES|LOCALVERSION)\>' "$OBJDIR/.config" >"$own"
echo 'CONFIG_LOCALVERSION="-mine"' >>"$own"
shows_difference() {
	[[ $(configure 2>/dev/null | sed 's/VERSION_TEXT .*/VERSION_TEXT/') == " RUST n -> y
 SAMPLES n -> y
+BINDGEN_VERSION_TEXT
+RUSTC_VERSION_TEXT
+RUST_INLINE_HELPERS y
+RUST_OVERFLOW_CHECKS y
+SAMPLES_RUST y
+SAMPLE_RUST_IPTVERDICT m" ]] && grep -qx 'CONFIG_LOCALVERSION="-mine"' "$KTREE/build-own/.config"
}
check "CONFIG_FILE: adds and prints the required options, and no others" shows_difference
sed -i '/^CONFIG_NETFILTER=/d' "$own"
check_line "CONFIG_FILE: rejects a configuration without iptables" 1 "does not allow CONFIG_SAMPLE_RUST_IPTVERDICT=m" configure
check_line "CONFIG_FILE: rejects a file that does not exist" 1 "not a readable file" env CONFIG_FILE="$own.none" "$REPO/tools/kernel/deb"
echo nothing >"$own"
check_line "CONFIG_FILE: rejects a file that is not a kernel configuration" 1 "is not a kernel configuration" env CONFIG_FILE="$own" "$REPO/tools/kernel/deb"

done_testing
