#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The compiler rejects misuse of the Rust abstractions: each case in compile-fail/ fails to
# compile, and its first error is the one that its third line names.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/kernel/lib.sh
. "$REPO/tools/kernel/lib.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

cases=$REPO/tools/testing/checks/compile-fail
out=$BUILD/compile-fail
rm -rf "$out"
mkdir -p "$out"
for file in "$cases"/*.rs; do
	name=$(basename "$file" .rs)
	cp "$file" "$out"
	echo "obj-m += $name.o"
done >"$out/Kbuild"

# compile NAME: compiles a case, with the compiler's output in $out/NAME.log.
compile() {
	kmake M="$out" "$1.o" >"$out/$1.log" 2>&1
}

compiles() {
	compile "$1" || {
		cat "$out/$1.log"
		return 1
	}
}

fails() {
	local expected error
	expected=$(sed -n 's,^// \(error.*\),\1,p' "$cases/$1.rs")
	if compile "$1"; then
		echo "it compiles; expected: $expected"
		return 1
	fi
	error=$(grep -m 1 '^error' "$out/$1.log" || :)
	echo "expected: $expected"
	cat "$out/$1.log"
	[[ $expected && $error == "$expected"* ]]
}

check "compile-fail: the control compiles" compiles control
for file in "$cases"/*.rs; do
	name=$(basename "$file" .rs)
	[[ $name == control ]] || check "compile-fail: ${name//_/ }" fails "$name"
done

done_testing
