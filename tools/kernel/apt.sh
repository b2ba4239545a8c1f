# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# apt for the kernel packages of any Debian suite, with its state in the cache and the
# mirror of the toolbox. Sourced, in the toolbox.

# shellcheck source=tools/toolbox/lib.sh
. "$REPO/tools/toolbox/lib.sh"
apt=$CACHE/apt
apt() {
	local cmd=$1
	shift
	"$cmd" -o Dir::State="$apt" -o Dir::Cache="$apt" -o Dir::Etc::sourcelist="$apt/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null -o Dir::State::status=/var/lib/dpkg/status \
		-o APT::Sandbox::User=root -o Acquire::Retries=5 "$@"
}

# update SUITE...: downloads the package lists of the suites.
update() {
	local uri suite
	mkdir -p "$apt/lists/partial" "$apt/archives/partial"
	uri=$(root_mirror /)
	for suite; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main"
	done >"$apt/sources.list"
	apt apt-get update --error-on=any
}
