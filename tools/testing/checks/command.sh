#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The command iptverdict on the host: clippy, the unit tests, and its installation by cargo.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

cargo=$REPO/tools/iptverdict/cargo
check "command: clippy: no warning" "$cargo" clippy --release -- -D warnings
check "command: the unit tests pass" "$cargo" test --release
installed() {
	"$cargo" install --path . --root "$tmp" && "$tmp/bin/iptverdict" --version
}
check "command: cargo install" installed

# All clones build in the same directory.
other_clone() {
	git clone -q "$REPO" "$tmp/clone"
	sed -i 's/^\/\/\/ Shows which rule/\/\/\/ In another clone, shows which rule/' "$tmp/clone/tools/iptverdict/src/main.rs"
	"$tmp/clone/tools/iptverdict/build-command" && "$REPO/tools/iptverdict/build-command" || return 1
	"$tmp/clone/build/command/iptverdict" --help | grep 'In another clone' && "$COMMAND" --help | grep '^Shows which rule'
}
check "command: each clone gets what it has built" other_clone

done_testing
