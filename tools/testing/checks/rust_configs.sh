#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The Rust parts build wherever CONFIG_RUST=y does: without what they use, for 32 bits, by
# gcc; and in KUnit's own configuration. Where the kernel runs here, its Rust tests pass.
#
# by request: make test-kernels
# objects of its own: 40 minutes

# shellcheck source=tools/env.sh
. "$(dirname "$0")/../../env.sh"
in_toolbox "$@"
# shellcheck source=tools/kernel/lib.sh
. "$REPO/tools/kernel/lib.sh"
# shellcheck source=tools/testing/checks/lib.sh
. "$REPO/tools/testing/checks/lib.sh"

"$REPO/tools/kernel/assemble"
out=$BUILD/rust-configs
mkdir -p "$out"

rust="KUNIT RUST RUST_KERNEL_DOCTESTS RUST_KUNIT_TESTS RUST_PERCPU_KUNIT_TEST"
tracepoints="FTRACE ENABLE_DEFAULT_TRACERS"
samples="DEBUG_FS SAMPLES SAMPLES_RUST"
net="NET INET IPV6 NETFILTER NETFILTER_ADVANCED NETFILTER_XTABLES NETFILTER_XTABLES_LEGACY
	IP_NF_IPTABLES_LEGACY IP6_NF_IPTABLES_LEGACY IP_NF_ARPTABLES NF_TABLES NF_TABLES_INET
	RUST_NETFILTER_KUNIT_TEST"
all="$rust $tracepoints $net $samples RUST_TRACEPOINT_KUNIT_TEST SAMPLE_RUST_DROPS"

# options OPTION...: writes a fragment with these options on; those that begin with - off.
options() {
	local option
	for option; do
		[[ $option == -* ]] && echo "# CONFIG_${option#-} is not set" || echo "CONFIG_$option=y"
	done
}

# kunit.py uses KVM wherever there is a device for it, which is not enough: see vm/boot.
mkdir -p "$out/bin"
cat >"$out/bin/qemu-system-x86_64" <<'E'
#!/usr/bin/env bash
exec /usr/bin/qemu-system-x86_64 "${@/#kvm/tcg}"
E
chmod +x "$out/bin/qemu-system-x86_64"

# kunit COMMAND NAME [ARGUMENT...]: runs kunit.py with the fragment on standard input.
kunit() {
	local command=$1 name=$2 arguments=()
	shift 2
	cat >"$out/$name"
	[[ $command != run ]] || arguments=(--jobs "$(nproc)" 'rust_*')
	(cd "$KTREE" && PATH=$out/bin:$PATH tools/testing/kunit/kunit.py "$command" --kunitconfig "$out/$name" \
		--build_dir "build-rust-$name" "$@" ${arguments[@]+"${arguments[@]}"})
}

# has NAME LINE...: succeeds if the configuration has these lines.
has() {
	local name=$1 line
	shift
	for line; do
		grep -xF -- "$line" "$KTREE/build-rust-$name/.config" || return 1
	done
}

x86=(--arch x86_64 --make_options LLVM=1)

no_net() {
	# shellcheck disable=SC2086 # lists
	options $rust $tracepoints DEBUG_FS -NET | kunit run no-net "${x86[@]}" &&
		has no-net CONFIG_TRACEPOINTS=y "# CONFIG_NET is not set"
}
no_tracepoints() {
	# shellcheck disable=SC2086
	options $rust $net DEBUG_FS PCI NOVA_CORE -FTRACE | kunit run no-tracepoints "${x86[@]}" &&
		has no-tracepoints CONFIG_NET=y CONFIG_NOVA_CORE=y && ! has no-tracepoints CONFIG_TRACEPOINTS=y
}
no_debugfs() {
	# shellcheck disable=SC2086
	options $rust $tracepoints $net RUST_TRACEPOINT_KUNIT_TEST -DEBUG_FS |
		kunit run no-debugfs "${x86[@]}" && has no-debugfs CONFIG_TRACEPOINTS=y "# CONFIG_DEBUG_FS is not set"
}
by_gcc() {
	# shellcheck disable=SC2086
	options $all SAMPLE_RUST_IPTVERDICT | kunit run gcc --arch x86_64 &&
		has gcc CONFIG_CC_IS_GCC=y && ! has gcc CONFIG_RUST_INLINE_HELPERS=y
}
default() {
	kunit run "$1" --arch "$1" --make_options LLVM=1 --kconfig_add CONFIG_RUST=y \
		<"$KTREE/tools/testing/kunit/configs/default.config"
}
# objects NAME ARCH: builds the Rust parts of the kernel, and the samples.
objects() {
	make -C "$KTREE" O="build-rust-$1" ARCH="$2" LLVM=1 -j"$(nproc)" prepare rust/ samples/rust/
}
# only NAME ON OFF: builds the module for a kernel that has one kind of tables, and not the other.
only() {
	local wanted=$2 option
	# shellcheck disable=SC2086
	options $rust $tracepoints $samples NET INET NETFILTER NETFILTER_ADVANCED $wanted SAMPLE_RUST_IPTVERDICT |
		kunit config "$1" "${x86[@]}" && has "$1" CONFIG_SAMPLE_RUST_IPTVERDICT=y || return 1
	for option in $3; do
		! has "$1" "CONFIG_$option=y" || return 1
	done
	objects "$1" x86_64
}
# The toolbox has no machine for this one.
arm() {
	# shellcheck disable=SC2086
	options $all | kunit config arm --arch arm --make_options LLVM=1 &&
		has arm CONFIG_TRACEPOINTS=y CONFIG_SAMPLE_RUST_DROPS=y &&
		! grep 'SAMPLE_RUST_IPTVERDICT' "$KTREE/build-rust-arm/.config" &&
		objects arm arm
}

check "rust: without NET, the tests pass" no_net
check "rust: without TRACEPOINTS, the tests pass; nova-core, which uses debugfs, builds" no_tracepoints
check "rust: without DEBUG_FS, the tests pass" no_debugfs
check "rust: by gcc, without RUST_INLINE_HELPERS, the tests pass" by_gcc
check "rust: in KUnit's default configuration for x86-64, the tests pass" default x86_64
check "rust: in KUnit's default configuration for UML, the tests pass" default um
check "rust: without tables of iptables, the module builds" \
	only nftables "NF_TABLES NF_TABLES_IPV4" "IP_NF_IPTABLES_LEGACY IP6_NF_IPTABLES_LEGACY IP_NF_ARPTABLES"
check "rust: without nftables, the module builds" \
	only iptables "NETFILTER_XTABLES NETFILTER_XTABLES_LEGACY IP_NF_IPTABLES_LEGACY" NF_TABLES
check "rust: for 32-bit ARM, all of it builds" arm

done_testing
