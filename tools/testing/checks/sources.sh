#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Static analysis: sparse for C; rustfmt, clippy and rustdoc for Rust; shellcheck for shell;
# pylint for Python. All without a warning.
#
# objects of its own: 5 minutes

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/kernel/lib.sh
. "$REPO/tools/kernel/lib.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

# An object directory of its own: clippy and sparse change how objects are built.
objdir=$KTREE/build-checks
quiet_make() {
	local output
	output=$(OBJDIR=$objdir kmake "$@" 2>&1) || {
		echo "$output"
		return 1
	}
	clean "$output" '^[^ ]*: (warning|error)|^(warning|error)'
}

mkdir -p "$objdir"
cmp -s "$OBJDIR/.config" "$objdir/.config" || cp "$OBJDIR/.config" "$objdir/.config"

check "clippy: no warning about the kernel crate and the modules" \
	quiet_make CLIPPY=1 KRUSTFLAGS=-Dwarnings prepare samples/rust/iptverdict.o samples/rust/rust_drops.o
check "sparse: no warning about the C files of the series" \
	quiet_make C=2 CHECK="sparse -Wno-return-void" kernel/tracepoint.o net/ipv4/netfilter/ip_tables.o \
	net/ipv4/netfilter/arp_tables.o net/ipv6/netfilter/ip6_tables.o net/netfilter/nf_tables_core.o
check "rustdoc: no warning about the kernel crate" \
	quiet_make CLIPPY=1 KRUSTFLAGS=-Dwarnings RUSTDOC="$REPO/tools/testing/checks/rustdoc-coverage" rustdoc

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
