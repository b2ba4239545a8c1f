#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The KUnit tests of the Rust abstractions, and the doctests, which the kernel runs as KUnit
# tests when it boots.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

cd "$REPO"
mapfile -t sources < <(git ls-files 'rust/kernel/*.rs')
mapfile -t suites < <(sed -n 's/^#\[macros::kunit_tests(\(.*\))\]$/\1/p' "${sources[@]}")
results=$BUILD/test/kunit-$CONFIG
mkdir -p "$BUILD/test"
rm -f "$results"
KERNEL_OPTS='kunit.enable=1 kunit.filter_glob=rust_*' check "kunit: the kernel boots and runs the tests" \
	tools/testing/vm/boot "cd /sys/kernel/debug/kunit &&
		tail -n +1 {rust_doctests_kernel,$(IFS=,; echo "${suites[*]}")}/results >'$results'"

# suite NAME: succeeds if all tests of the suite ran and passed.
suite() {
	sed -n "\\,^==> $1/results,,/^==>/p" "$results"
	[[ $(grep -cE "^# $1: pass:[1-9][0-9]* fail:0 skip:0 " "$results") == 1 ]]
}
for name in "${suites[@]}"; do
	check "kunit: $name" suite "$name"
done

# examples FILE: succeeds if all doctests of the file ran and passed.
examples() {
	local name ran
	name=rust_doctest_$(sed 's,^rust/,,; s,[/.],_,g' <<<"$1")
	grep -E "^ *(not )?ok [0-9]+ ${name}_[0-9]+" "$results" || :
	ran=$(grep -cE "^ *ok [0-9]+ ${name}_[0-9]+" "$results" || :)
	# An example in a macro is a doctest of each item that the macro defines.
	! grep -qE "^ *not ok [0-9]+ ${name}_" "$results" &&
		((ran > 0 && ran >= $(grep -cE '^ *//[/!] ```' "$1") / 2))
}
for file in "${sources[@]}"; do
	check "doctests: $file" examples "$file"
done

done_testing
