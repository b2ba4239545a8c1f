#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# make packages, in throw-away Debian systems: installation, upgrade, removal, bad input
# (packages/debian.sh); and on Debian's own kernels, booted: the tests of the events and of the
# module. STOCK_KERNELS: these; by default, all.
#
# by request: make test-kernels
# objects of its own

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

# in_debian: runs packages/debian.sh in the Debian system of KVER, and prints its TAP.
in_debian() {
	# shellcheck source=tools/testing/vm/stock.sh
	. "$here/vm/stock.sh"
	mkdir -p "$tmp/packages"
	cp "$here/checks/packages/debian.sh" "$here/checks/lib.sh" "${debs[@]}" "$tmp/packages"
	"$here/vm/stock-root" || return 1
	# shellcheck disable=SC2016 # mmdebstrap expands $1
	stock_system --customize-hook="copy-in $tmp/packages /root" \
		--customize-hook='chroot "$1" /root/packages/debian.sh >'"$tmp/tap" >/dev/null
}

check "make packages: succeeds" make --no-print-directory -C "$REPO" packages
export KVER CONFIG=stock
for KVER in ${STOCK_KERNELS:-$DKMS_KERNELS}; do
	rm -f "$tmp/tap"
	in_debian >"$tmp/log" 2>&1 || tail -n 30 "$tmp/log" | sed 's/^/# /'
	check "linux-$KVER: the packages were tested in Debian" grep -q '^1\.\.' "$tmp/tap"
	sed '/^1\.\./d' "$tmp/tap"
	check "linux-$KVER: the tests pass on Debian's own kernel" "$here/run"
done

done_testing
