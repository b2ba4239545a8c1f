#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# debian.sh: the packages for DKMS in a Debian system whose kernel does not run: what they install,
# what they reject, and what they leave. Runs as root in a throw-away system in which they are
# installed, with the packages, and that of the command, in the current directory; prints TAP.

set -uo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
cd "$(dirname "$0")" || exit
REPO=$PWD
# shellcheck source=tools/testing/checks/lib.sh
. ./lib.sh

kernels=$(cd /lib/modules && echo *)
kernel=${kernels%% *}
pattern=${kernel//+/\\+}
headers=/lib/modules/$kernel/build
series=$(cut -d. -f1,2 <<<"$kernel")
name=linux-$series
source=/usr/src/iptverdict-$(dpkg-deb --field iptverdict-dkms_*.deb Version)

# own: succeeds if all files of the kernel are as its packages have them, and there are no others.
# The documentation is not installed.
own() {
	# shellcheck disable=SC2046 # a list
	! dpkg --verify $(dpkg-query --show --showformat '${Package} ' 'linux-*') | grep -v ' /usr/share/' &&
		[[ ! $(find "/lib/modules/$kernel/updates" -type f 2>/dev/null) ]]
}

# prepare TREE [HEADERS]: runs the preparation of the events in a copy of what the package installs.
prepare() {
	local headers=${2:-$headers} build
	build=$(mktemp -d)
	cp -r "$1"/. "$build"
	(cd "$build" && ./prepare 0 "$kernel" "$headers" x_tables ip_tables iptable_filter)
}

# The packages.
# command_works: succeeds if the command installs and runs, and its package has man pages and
# completions.
command_works() {
	local file
	apt-get install --yes ./iptverdict_*.deb || return 1
	iptverdict doctor || return 1
	for file in man/man1/iptverdict-watch.1.gz bash-completion/completions/iptverdict.bash \
		zsh/vendor-completions/_iptverdict; do
		dpkg --listfiles iptverdict | grep -qx "/usr/share/$file" || return 1
	done
}
! compgen -G './iptverdict_*.deb' >/dev/null || check "$name: the command installs and runs" command_works
# built: succeeds if the modules are built and take precedence.
built() {
	local module
	dkms status iptverdict -k "$1" | grep -q ': installed' || return 1
	for module in x_tables ip_tables ip6_tables arp_tables iptable_filter ip6table_nat nf_tables nft_chain_nat; do
		[[ $(modinfo -k "$1" -n $module) == */updates/dkms/* ]] || return 1
	done
}
check "$name: the modules with the events take precedence" built "$kernel"

# foreign: prints the symbols of the kernel's modules that have another version in ours, by the
# modules that import them and that the package does not replace.
foreign() {
	local symvers=/var/lib/dkms/iptverdict/kernel-$kernel-x86_64/module/Module.symvers
	find "/lib/modules/$kernel/kernel" -name '*.ko*' | while read -r module; do
		# dkms 3.0 leaves those that it replaces in place.
		[[ ! -f /lib/modules/$kernel/updates/dkms/${module##*/} ]] || continue
		modprobe --dump-modversions "$module" 2>/dev/null | awk -v module="$module" '
			FNR == NR { crc[$2] = $1; next }
			$2 in crc && crc[$2] != $1 { print module, $2 }' "$symvers" -
	done
}
no_foreign() {
	! foreign | grep .
}
# Without versions of symbols, the name of a function keeps the modules apart: see guest/switch.sh.
! grep -qx CONFIG_MODVERSIONS=y "$headers/.config" ||
	check "$name: no other module imports a symbol of another version" no_foreign

# make module, in a clone. one-patch, which needs git, runs without the toolbox.
make_module() {
	apt-get update && apt-get install --yes git && IN_TOOLBOX=1 XDG_CACHE_HOME=$PWD/cache make -C iptverdict module KDIR="$headers" &&
		grep -q "^$(modinfo -F vermagic -k "$kernel" x_tables)$" <(modinfo -F vermagic iptverdict/build/module/samples/rust/iptverdict.ko)
}
[[ ! -d cache ]] || check "$name: make module builds for headers without Rust metadata" make_module

# Bad input.
tree=$(mktemp -d)
cp -r "$source"/. "$tree"
check_line "$name: rejects a kernel without headers" 1 "no headers of $pattern: install linux-headers-$pattern" prepare "$tree" /none
other=$(mktemp -d)
other_headers() {
	rm -rf "$other"
	mkdir -p "$other/include/generated"
	cp "$headers"/{Makefile,Module.symvers,.config} "$other"
	cp "$headers/include/generated/utsrelease.h" "$other/include/generated"
}
other_headers
echo '#define UTS_RELEASE "9.9.9-other"' >"$other/include/generated/utsrelease.h"
check_line "$name: rejects headers of another kernel" 1 "is of another kernel than $pattern: install" prepare "$tree" "$other"
other_headers
sed -i 's/^CONFIG_NETFILTER_XTABLES=m/CONFIG_NETFILTER_XTABLES=y/' "$other/.config"
check_line "$name: rejects a kernel with x_tables built in" 1 "they are built in, or disabled" prepare "$tree" "$other"
other_headers
echo '0x0	__tracepoint_ipt_verdict	net/ipv4/netfilter/ip_tables	EXPORT_SYMBOL_GPL	' >>"$other/Module.symvers"
check_line "$name: rejects a kernel that has the events" 1 "has the events already" prepare "$tree" "$other"
other_headers
sed -i 's/^\(CONFIG_CC_VERSION_TEXT="\)[^ ]*/\1gcc-99/' "$other/.config"
check_line "$name: rejects a machine without the compiler" 1 "no compiler gcc-99: install gcc-99" prepare "$tree" "$other"
other_headers
echo CONFIG_MODULE_SIG_FORCE=y >>"$other/.config"
check_line "$name: rejects a kernel that would not load what DKMS signs" 1 "the key of DKMS is not enrolled: run 'mokutil --import /var/lib/dkms/mok.pub'" prepare "$tree" "$other"
mv "$tree/patches" "$tree/none"
mkdir "$tree/patches"
touch "$tree/patches/9.9.patch"
check_line "$name: rejects a kernel of another series" 1 "there are events for Linux 9.9, not for" prepare "$tree"
rm -r "$tree/patches"
mv "$tree/none" "$tree/patches"
mv "$tree/sources" "$tree/none"
mv /usr/src/linux-source-* "$tree/none" 2>/dev/null
check_line "$name: rejects a kernel without its source" 1 "install the package linux-source-[0-9.]* of this version" prepare "$tree"
mkdir "$tree/sources"
cp "$tree/none/"*.tar.xz "$tree/sources"
echo 0-0 >"$tree/sources/$series.revision"
check_line "$name: rejects a source of another revision" 1 "install the package linux-source-[0-9.]* of this version" prepare "$tree"
rm "$tree"/sources/*
for tar in "$tree"/none/*.tar.xz; do
	[[ $tar == */linux-source-* ]] || (
		cd "$other" && rm -rf ./* && tar -xf "$tar" && sed -i 's/^SUBLEVEL = .*/SUBLEVEL = 999/' ./*/Makefile &&
			tar -cJf "$tree/sources/${tar##*/}" ./*
	)
done
check_line "$name: rejects a source of another version" 1 "install the package linux-source-[0-9.]* of this version" prepare "$tree"
rm -r "$tree/sources"
mv "$tree/none" "$tree/sources"
mv "$tree"/sources/linux-source-* /usr/src 2>/dev/null
sed -i 's/xt_table_info/xt_table_inf0/' "$tree"/patches/*.patch
check_line "$name: rejects a source to which the series does not apply" 1 "the series does not apply" prepare "$tree"

# A build that fails: the reason is printed, and the kernel's own modules stay.
removed() {
	apt-get purge --yes 'iptverdict*' && own
}
check "$name: removal restores the kernel's own modules" removed
broken() {
	dpkg --unpack ./iptverdict-dkms_*.deb || return 0
	sed -i 's/xt_table_info/xt_table_inf0/' "$source"/patches/*.patch
	dpkg --configure iptverdict-dkms
}
check_line "$name: a package that cannot be built says why" 1 "the series does not apply" broken
check "$name: a failed build leaves the kernel's own modules" own
apt-get purge --yes iptverdict-dkms >/dev/null 2>&1
skipped() {
	dpkg --unpack ./iptverdict-dkms_*.deb && rm "$source/patches/$series.patch" && dpkg --configure iptverdict-dkms
}
check "$name: a kernel of a series without events is skipped" skipped
check "$name: a skipped kernel keeps its own modules" own
apt-get purge --yes iptverdict-dkms >/dev/null 2>&1

# The next kernel of the same series: installed as apt does it, while the one before runs.
upgrade() {
	local old version
	apt-get update || return 1
	old=$(apt-cache pkgnames "linux-image-$series" | grep -E "^linux-image-${series/./\\.}\..*-cloud-amd64$" |
		sed 's/^linux-image-//' | grep -vxF "$kernel" | sort --version-sort | tail -n 1)
	version=$(apt-cache show "linux-image-$old" | sed -n 's/^Version: //p' | head -n 1)
	# Only the older kernel, with its source.
	apt-get purge --yes "linux-*-$kernel" 'linux-*-cloud-amd64' 'linux-source*' &&
		apt-get install --yes "linux-image-$old" "linux-headers-$old" "linux-source-$series=$version" &&
		apt-get install --yes --no-install-recommends ./iptverdict-dkms_*.deb && built "$old" &&
		apt-get install --yes linux-image-cloud-amd64 linux-headers-cloud-amd64 && built "$kernel" && built "$old"
}
# The archive has one kernel of the newest series.
[[ $series == 7.3 ]] || check "$name: an upgrade of the kernel builds the modules for it" upgrade

done_testing
