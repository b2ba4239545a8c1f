# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# CONFIG=stock: Debian's own kernel KVER, in a Debian system with our packages. Sourced after
# tools/env.sh and tools/toolbox/lib.sh.
#
# shellcheck disable=SC2034 # the scripts that source this use the variables

case $KVER in
6.1) stock_suites=bookworm ;;
6.12) stock_suites=trixie ;;
7.3) stock_suites="trixie trixie-backports" ;;
*) die "CONFIG=stock: Debian has no kernel $KVER; use KVER=6.1, 6.12 or 7.3" ;;
esac

# depends PACKAGE: prints what our package depends on, separated by commas.
depends() {
	sed -n "/^Package: $1\$/,/^Description/ { s/^Depends: *//p; s/^ //p }" "$REPO/tools/dkms/debian/control" |
		tr ',' '\n' | sed 's/(.*//; s/ //g' | grep -v '[$]\|^iptverdict\|^$' | paste -sd,
}

# The packages of the system, besides the essential ones; and ours, to be installed in it.
stock_packages=systemd-sysv,udev,kmod,initramfs-tools,dkms,openssl,linux-image-cloud-amd64,linux-headers-cloud-amd64
stock_packages+=,$(packages "$REPO/tools/toolbox/packages.guest"),$(depends iptverdict-dkms)
debs=("$PACKAGES"/iptverdict-dkms_*.deb)
# The newest kernel has Rust, and so the module.
if [[ $KVER == "${KERNELS%% *}" ]]; then
	stock_packages+=,$(depends iptverdict-module-dkms)
	debs+=("$PACKAGES"/iptverdict-module-dkms_*.deb)
fi

# The test modules that need nothing of the series; those of limits.sh use the module.
stock_modules=("$REPO/tools/testing/bench/ipt_bench.c" "$REPO/tools/testing/guest/modules/xt_busy.c")
[[ $KVER != "${KERNELS%% *}" ]] ||
	stock_modules+=("$REPO"/tools/testing/guest/modules/{ipt_counter,iptable_sixth,xt_any_verdict}.c)

# The system without our packages. The name contains a hash of what determines the contents.
# shellcheck disable=SC2154 # toolbox/lib.sh sets root_options
stock_root=$CACHE/stock-$KVER-$(cat "$REPO/tools/testing/vm/stock-root" - \
	<<<"$stock_packages ${root_options[*]}" | sha256sum | cut -c1-12).tar.zst

# installed: prints the name of the compressed tar of the system with our packages, and with the test
# modules in /root. It contains a hash of what determines the contents.
installed() {
	local hash
	hash=$({
		echo "$stock_root"
		cat "$REPO/tools/testing/vm/stock-disk" "${debs[@]}" "${stock_modules[@]}"
	} | sha256sum | cut -c1-12)
	echo "$CACHE/stock-$KVER-installed-$hash.tar.zst"
}

# unpack TAR COMMAND...: runs a command that reads a tar, which is compressed, on standard input. It
# may end before the padding of the tar, which is read, so that zstd does not fail.
unpack() {
	"$REPO/tools/toolbox/enter" zstd -qdc "$1" | { "${@:2}" && cat >/dev/null; }
}

# change TAR ARGUMENT...: runs mmdebstrap with further arguments, such as hooks, in a copy of a
# system, and prints the result as a tar.
change() {
	# shellcheck disable=SC2016 # mmdebstrap expands $1
	unpack "$1" \
		mmdebstrap --variant=custom --skip=update,cleanup --setup-hook='tar -xC "$1" --exclude="./dev/*"' "${@:2}" '' -
}
