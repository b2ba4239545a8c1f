#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The examples in the documentation of the Rust abstractions, which the kernel
# runs as KUnit tests when it boots.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

cd "$REPO"
results=$BUILD/test/doctests
mkdir -p "$BUILD/test"
KERNEL_OPTS='kunit.enable=1 kunit.filter_glob=rust_doctests_kernel' tools/testing/vm/run \
	'cat /sys/kernel/debug/kunit/rust_doctests_kernel/results' >"$results" || :

# All examples of a file have run, and passed.
examples() {
	local file=$1 name ran
	name=rust_doctest_$(sed 's,^rust/,,; s,[/.],_,g' <<<"$file")
	grep -E "^ *(not )?ok [0-9]+ ${name}_[0-9]+" "$results" || :
	ran=$(grep -cE "^ *ok [0-9]+ ${name}_[0-9]+" "$results" || :)
	[[ $ran -gt 0 && $ran == $(($(grep -cE '^ *//[/!] ```' "$file") / 2)) ]]
}
for file in $(git ls-files 'rust/kernel/*.rs'); do
	check "examples in $file" examples "$file"
done

done_testing
