#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Static analysis: sparse for C; rustfmt, clippy and rustdoc for Rust; shellcheck for shell;
# pylint for Python. All without a warning.
#
# objects of its own: 4 minutes

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/kernel/lib.sh
. "$REPO/tools/kernel/lib.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

# An object directory of its own: clippy and sparse change how objects are built. Rust is compiled
# once, as all three builds have the same options.
objdir=$KTREE/build-checks
tools=$REPO/tools/testing/checks
# quiet_make ARGUMENT...: succeeds if the build does, without a warning. Its output is in output.
quiet_make() {
	output=$(OBJDIR=$objdir kmake CLIPPY=1 KRUSTFLAGS=-Dwarnings "$@" 2>&1) || {
		echo "$output"
		return 1
	}
	clean "$output" '^[^ ]*: (warning|error)|^(warning|error)'
}
# sparse_clean FILE...: succeeds if sparse reports nothing about the C files.
sparse_clean() {
	quiet_make C=2 CHECK="$tools/sparse" "${@/%.c/.o}" &&
		for file; do
			grep -q "^  CHECK   $file$" <<<"$output" || {
				echo "sparse did not check $file:"
				grep -F 'C=2' <<<"$output"
				return 1
			}
		done
}

"$REPO/tools/kernel/build-kernel" prepare
mkdir -p "$objdir"
cmp -s "$OBJDIR/.config" "$objdir/.config" || cp "$OBJDIR/.config" "$objdir/.config"

check "clippy: no warning about the kernel crate and the modules" \
	quiet_make prepare samples/rust/iptverdict.o samples/rust/rust_drops.o
mapfile -t changed < <(git -C "$KTREE" diff --name-only origin/base HEAD -- 'kernel/*.c' 'net/*.c')
check "sparse: no warning about the C files of the series" sparse_clean "${changed[@]}"
check "rustdoc: no warning about the kernel crate" quiet_make RUSTDOC="$tools/rustdoc-coverage" rustdoc

cd "$REPO"
mapfile -t rust < <(git ls-files '*.rs')
check "rustfmt: all Rust files are formatted" \
	rustfmt --edition 2021 --config-path "$KTREE/.rustfmt.toml" --check "${rust[@]}"
mapfile -t crate < <(git ls-files 'rust/kernel/*.rs')
check "rustdoc: all public items have documentation and examples" \
	tools/testing/checks/documented.py "$objdir/rustdoc-coverage.json" "${crate[@]}"
no_unsafe() {
	! grep -n unsafe samples/rust/*.rs tools/testing/guest/modules/*.rs
}
check "the Rust modules contain no unsafe code" no_unsafe
short() {
	local lines
	lines=$(grep -vcE '^\s*(//|$)' samples/rust/iptverdict.rs)
	echo "$lines lines"
	((lines <= 200))
}
check "samples/rust/iptverdict.rs: at most 200 lines of code" short

# scripts INTERPRETER SUFFIX: prints the files in this language.
scripts() {
	git ls-files | while read -r file; do
		[[ $file != *$2 && $(head -n 1 "$file" | tr -d '\0') != '#!'*"$1" ]] || echo "$file"
	done
}
mapfile -t shell < <(scripts sh .sh)
check "shellcheck: no warning" shellcheck --external-sources "${shell[@]}"
mapfile -t python < <(scripts python3 .py)
check "pylint: no warning" pylint --rcfile=.pylintrc "${python[@]}"

done_testing
