#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# 100 boots of the guest, two at a time.
#
# by request: make soak

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

out=$BUILD/test/boots
rm -rf "$out"
mkdir -p "$out"
# shellcheck disable=SC2016 # the inner shell expands it
seq 100 | xargs -P 2 -I N sh -c '"$1/tools/testing/vm/boot" "echo up" >"$2/N" 2>&1' sh "$REPO" "$out" || :
again=$(cat "$out"/* | grep -c 'booting once more' || :)
all_up() {
	local failed
	failed=$(grep -Lx up "$out"/*)
	[[ ! $failed ]] || {
		# shellcheck disable=SC2086 # a list
		tail -n 5 $failed
		return 1
	}
}
check "boots: 100 guests ran their command" all_up
# QEMU's own fault hits one boot in twelve.
check "boots: $again guests were booted twice, at most 20" test "$again" -le 20

done_testing
