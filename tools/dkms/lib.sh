# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the preparation of both DKMS packages shares. Sourced in the build directory of DKMS,
# with $kernel and $headers set to the kernel and its build directory.
#
# shellcheck disable=SC2154 # the scripts that source this set them

# die TEXT: reports an error and ends the script.
die() {
	echo "iptverdict: $*" >&2
	exit 1
}

# need_kernel: sets version and series of the kernel, such as 6.12.117 and 6.12.
need_kernel() {
	version=$(make -s -C "$headers" kernelversion 2>/dev/null) ||
		die "no headers of $kernel: install linux-headers-$kernel"
	grep -qsF "\"$kernel\"" "$headers/include/generated/utsrelease.h" ||
		die "$headers is of another kernel than $kernel: install linux-headers-$kernel"
	series=$(cut -d. -f1,2 <<<"$version")
}

# version_of TAR: prints the version of a source.
version_of() {
	tar -xOf "$1" --occurrence "linux-source-$series/Makefile" 2>/dev/null | awk '
		/^(VERSION|PATCHLEVEL|SUBLEVEL) =/ { version = version dot $3; dot = "." }
		END { print version }'
}

# package_version PACKAGE: prints the version of an installed Debian package, if there is one.
package_version() {
	! command -v dpkg-query >/dev/null || dpkg-query --show --showformat '${Version}' "$1" 2>/dev/null || :
}

# need_source TAR...: sets tar to the first that has the source of the kernel: of the same version
# and, where both are known, from the same revision of Debian's package.
need_source() {
	local built revision
	built=$(package_version "linux-headers-$kernel")
	for tar; do
		[[ -f $tar && $(version_of "$tar") == "$version" ]] || continue
		if [[ -f ${tar%.tar.xz}.revision ]]; then
			revision=$(<"${tar%.tar.xz}.revision")
		else
			revision=$(package_version "linux-source-$series")
		fi
		[[ $built && $revision && $built != "$revision" ]] || return 0
	done
	die "no source of Linux ${built:-$version}, which $kernel was built from: install the package linux-source-$series of this version"
}

# need_key: fails if the kernel loads only signed modules, and not those that DKMS signs: without
# iptables, the machine would have no packet filter at the next boot.
need_key() {
	local certificate
	grep -qx CONFIG_MODULE_SIG_FORCE=y "$headers/.config" ||
		grep -qsx Y /sys/module/module/parameters/sig_enforce ||
		grep -qsE '\[(integrity|confidentiality)\]' /sys/kernel/security/lockdown || return 0
	certificate=$(
		find /etc/dkms -name '*.conf' -exec sed -n 's/^mok_certificate="*\([^"]*\)"*$/\1/p' {} + | tail -n 1
	)
	: "${certificate:=/var/lib/dkms/mok.pub}"
	mokutil --test-key "$certificate" 2>/dev/null | grep -q 'already enrolled' ||
		die "this machine loads only signed modules, and the key of DKMS is not enrolled: run 'mokutil --import $certificate' (without that file, 'dkms generate_mok' first), reboot, then 'dkms autoinstall'"
}
