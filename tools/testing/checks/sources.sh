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

check "clippy on the kernel crate and the module" \
	quiet_make CLIPPY=1 KRUSTFLAGS=-Dwarnings prepare samples/rust/iptverdict.o
check "sparse on the C files of the series" \
	quiet_make C=2 CHECK="sparse -Wno-return-void" net/ipv4/netfilter/ip_tables.o \
	net/ipv4/netfilter/arp_tables.o net/ipv6/netfilter/ip6_tables.o
check "rustdoc" quiet_make CLIPPY=1 KRUSTFLAGS=-Dwarnings rustdoc

mapfile -t rust < <(cd "$REPO" && git ls-files '*.rs')
check "rustfmt" rustfmt --edition 2021 --config-path "$KTREE/.rustfmt.toml" --check "${rust[@]/#/$REPO/}"

documented() {
	local file
	for file in "${rust[@]}"; do
		[[ $file == samples/* ]] || awk -v file="$file" '
			/^ *(\/\/\/|#\[|#!\[)/ { doc = 1; next }
			/^ *pub (const |unsafe )*(fn|struct|enum|trait|const|type|mod) / && !doc { print file ":" FNR ": " $0; bad = 1 }
			{ doc = 0 }
			END { exit bad }' "$REPO/$file" || return 1
	done
}
check "public items have documentation" documented

unsafe_has_reason() {
	! grep -n unsafe "$REPO/samples/rust/iptverdict.rs"
}
check "the module has no unsafe" unsafe_has_reason

mapfile -t scripts < <(cd "$REPO" && git ls-files | while read -r file; do
	[[ $file != *.sh && $(head -c 30 "$file" | head -n 1) != '#!'*sh ]] || echo "$file"
done)
cd "$REPO"
check "shellcheck" shellcheck --external-sources "${scripts[@]}"
mapfile -t python < <(git ls-files '*.py')
check "python" python3 -c 'import ast, sys; [ast.parse(open(name).read(), name) for name in sys.argv[1:]]' "${python[@]}"

done_testing
