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

# need_source TAR...: sets tar to the first that has the source of this version.
need_source() {
	for tar; do
		[[ ! -f $tar || $(version_of "$tar") != "$version" ]] || return 0
	done
	die "no source of Linux $version, which $kernel was built from: install the package linux-source-$series of this version"
}
