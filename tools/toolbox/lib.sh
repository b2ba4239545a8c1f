# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The toolbox: a Debian root in the cache. Sourced after env.sh.
#
# shellcheck disable=SC2034 # the scripts that source this use the variables

SUITE=trixie

# The options of mmdebstrap for all roots.
root_options=(
	--aptopt='Acquire::Retries "5"'
	--dpkgopt='path-exclude=/usr/share/doc/*'
	--dpkgopt='path-exclude=/usr/share/man/*'
	--dpkgopt='path-exclude=/usr/share/locale/*'
)

# The name contains a hash of what determines the contents, so a change makes a new
# toolbox.
TOOLBOX=$CACHE/toolbox-$SUITE-$({
	echo "${root_options[@]}"
	cat "$REPO"/tools/toolbox/{packages,packages.guest,build-toolbox,customize,coldplug}
} | sha256sum | cut -c1-12)

# packages FILE...: prints the packages in these lists, separated by commas.
packages() {
	sed 's/#.*//' "$@" | xargs | tr ' ' ,
}

# mirror: prints the Debian mirror: MIRROR, or that of the host's own apt. Prints nothing
# if there is neither; mmdebstrap has a default.
mirror() {
	if [[ ${MIRROR:-} ]]; then
		echo "$MIRROR"
	elif command -v apt-get >/dev/null; then
		# shellcheck disable=SC2016 # apt expands these
		apt-get indextargets --format '$(REPO_URI)' \
			'Created-By: Packages' 'Origin: Debian' 'Label: Debian' \
			2>/dev/null | sed -n 1p
	fi
}

# root_mirror ROOT: prints the mirror that a root was made from.
root_mirror() {
	awk '$1 == "deb" { sub(/\[[^]]*\] /, ""); print $2; exit }' "$1/etc/apt/sources.list"
}

# need_writable: fails unless this user can write to build/ and to the cache.
need_writable() {
	local dir
	for dir in "$BUILD" "$CACHE"; do
		{ mkdir -p "$dir" 2>/dev/null && [[ -w $dir ]]; } ||
			die "cannot write to $dir: this user needs write permission for the repository and the cache (XDG_CACHE_HOME=)"
	done
}

# need_userns: fails unless this user can create user namespaces, which the toolbox
# needs, also as root.
need_userns() {
	unshare --user --map-root-user true 2>/dev/null ||
		die "this user may not create user namespaces: allow it (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces)"
}

# need_host: installs the commands that the host itself needs, or names their packages.
need_host() {
	local missing=() cmd
	for cmd in mmdebstrap:mmdebstrap bwrap:bubblewrap tar:tar flock:util-linux; do
		command -v "${cmd%%:*}" >/dev/null || missing+=("${cmd##*:}")
	done
	if ((EUID)); then
		command -v newuidmap >/dev/null || missing+=(uidmap)
	fi
	((${#missing[@]})) || return 0

	if ((EUID)) || ! command -v apt-get >/dev/null; then
		die "missing on this machine: install the packages ${missing[*]}"
	fi
	step "install ${missing[*]}" install_host "${missing[@]}"
}

install_host() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get update
	apt-get install --yes --no-install-recommends "$@"
}
