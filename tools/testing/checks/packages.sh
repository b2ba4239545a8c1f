#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# make packages, in throw-away Debian systems: installation, upgrade, removal, bad input
# (packages/debian.sh); and on Debian's own kernels, booted: the tests of the events and of the
# module. STOCK_KERNELS: these, with all tests; by default, those that make test boots, where the
# newest gets the short tests, as the patched kernel of the same source gets all.
#
# objects of its own: 28 minutes

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/kernel/lib.sh
. "$REPO/tools/kernel/lib.sh"
# shellcheck source=tools/toolbox/lib.sh
. "$REPO/tools/toolbox/lib.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

here=$REPO/tools/testing
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# in_debian: runs packages/debian.sh in the Debian system of KVER with our packages.
in_debian() {
	# For the variables of this kernel.
	# shellcheck source=tools/kernel/lib.sh
	. "$REPO/tools/kernel/lib.sh"
	# shellcheck source=tools/testing/vm/stock.sh
	. "$here/vm/stock.sh"
	rm -rf "$tmp/packages"
	mkdir -p "$tmp/packages"
	cp "$here/checks/packages/debian.sh" "$here/checks/lib.sh" "${debs[@]}" "$tmp/packages"
	# The command is built with the libraries of Debian 13.
	[[ $stock_suites != trixie* ]] || cp "$PACKAGES"/iptverdict_*.deb "$tmp/packages"
	if rust_kernel; then
		# For make module: a clone, and the source of the kernel.
		mkdir -p "$tmp/packages/iptverdict" "$tmp/packages/cache/iptverdict"
		(cd "$REPO" && git ls-files | xargs cp --parents --target-directory="$tmp/packages/iptverdict")
		cp -r "$KBASE" "$tmp/packages/cache/iptverdict"
	fi
	# shellcheck disable=SC2016 # mmdebstrap expands $1
	change "$(installed)" --customize-hook="copy-in $tmp/packages /root" \
		--customize-hook='chroot "$1" /root/packages/debian.sh >'"$tmp/tap" >/dev/null
}

check "make packages: succeeds" make --no-print-directory -C "$REPO" packages
# Trees for dkms add are what the packages install.
trees() {
	make --no-print-directory -C "$REPO" dkms-source &&
		[[ $(cd "$BUILD/dkms" && echo *) == "iptverdict-$1 iptverdict-module-$1 iptverdict-switch" &&
			-x $BUILD/dkms/iptverdict-$1/prepare && -f $BUILD/dkms/iptverdict-module-$1/dkms.conf ]]
}
check "make dkms-source: writes a tree for each package" trees \
	"$(sed -n '1s/.*(\(.*\)).*/\1/p' "$REPO/tools/dkms/debian/changelog")"
export KVER CONFIG=stock
for KVER in ${STOCK_KERNELS:-$BOOT_KERNELS}; do
	check "linux-$KVER: the packages install" "$here/vm/stock-disk"
	rm -f "$tmp/tap"
	in_debian >"$tmp/log" 2>&1 || tail -n 30 "$tmp/log" | sed 's/^/# /'
	check "linux-$KVER: the packages were tested in Debian" grep -q '^1\.\.' "$tmp/tap"
	sed '/^1\.\./d' "$tmp/tap"
	short=0
	[[ ${STOCK_KERNELS:-} || $KVER != "${BOOT_KERNELS%% *}" ]] || short=1
	SHORT=$short check "linux-$KVER: the tests pass on Debian's own kernel" "$here/run"
done

done_testing
