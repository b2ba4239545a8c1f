#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The sources: sparse for C, rustfmt, clippy and rustdoc for Rust, shellcheck
# for scripts; without a warning.

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

# In a directory of its own: clippy and sparse do not go with a build.
objdir=$KTREE/build-checks
quiet_make() {
	local output
	output=$(OBJDIR=$objdir kmake "$@" 2>&1) || {
		echo "$output"
		return 1
	}
	# Nothing may be said of our files.
	! grep -E -A 8 '^(\.\./)?[^ ]*: (warning|error)|^(warning|error)' <<<"$output"
}

mkdir -p "$objdir"
cmp -s "$OBJDIR/.config" "$objdir/.config" || cp "$OBJDIR/.config" "$objdir/.config"

check "clippy on the kernel crate and the modules" \
	quiet_make CLIPPY=1 KRUSTFLAGS=-Dwarnings prepare samples/rust/iptverdict.o samples/rust/rust_drops.o
check "sparse on the C files of the series" \
	quiet_make C=2 CHECK="sparse -Wno-return-void" kernel/tracepoint.o net/ipv4/netfilter/ip_tables.o \
	net/ipv4/netfilter/arp_tables.o net/ipv6/netfilter/ip6_tables.o
check "rustdoc" quiet_make CLIPPY=1 KRUSTFLAGS=-Dwarnings RUSTDOC="$REPO/tools/testing/rustdoc-coverage" rustdoc

mapfile -t rust < <(cd "$REPO" && git ls-files '*.rs')
check "rustfmt" rustfmt --edition 2021 --config-path "$KTREE/.rustfmt.toml" --check "${rust[@]/#/$REPO/}"

# Each public item has documentation and, where that makes sense, an example.
documented() {
	python3 - "$objdir/rustdoc-coverage.json" "${rust[@]}" <<-'E'
		import json, sys
		files = {name.removeprefix("../"): counts
		         for name, counts in json.load(open(sys.argv[1])).items()}
		bad = 0
		for name in sys.argv[2:]:
		    if not name.startswith("rust/kernel/"):
		        continue
		    of = files[name]
		    print(name, of)
		    bad |= of["with_docs"] != of["total"] or of["with_examples"] != of["total_examples"]
		sys.exit(bad)
	E
}
check "public items have documentation and examples" documented

cd "$REPO"
no_unsafe() {
	! grep -n unsafe samples/rust/*.rs tools/testing/modules/*.rs
}
check "the modules have no unsafe" no_unsafe
short() {
	grep -vcE '^\s*(//|$)' samples/rust/iptverdict.rs
	(($(grep -vcE '^\s*(//|$)' samples/rust/iptverdict.rs) < 200))
}
check "the module has less than 200 lines of code" short

mapfile -t scripts < <(cd "$REPO" && git ls-files | while read -r file; do
	[[ $file != *.sh && $(head -c 30 "$file" | head -n 1) != '#!'*sh ]] || echo "$file"
done)
check "shellcheck" shellcheck --external-sources "${scripts[@]}"
mapfile -t python < <(git ls-files '*.py')
check "python" python3 -c 'import ast, sys; [ast.parse(open(name).read(), name) for name in sys.argv[1:]]' "${python[@]}"

done_testing
