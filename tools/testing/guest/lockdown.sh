#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# A kernel that enforces module signatures, and its lockdown modes.
#
# boot KERNEL_OPTS=module.sig_enforce=1
# needs CONFIG_RUST

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

lockdown=/sys/kernel/security/lockdown
mountpoint -q /sys/kernel/security || mount -t securityfs none /sys/kernel/security

# file MODULE: prints its file in the build directory, which has no signature.
file() {
	modinfo -F filename "$1"
}
# signed MODULE: signs a copy with the key of the build, as module-signing.rst describes, and
# loads it.
signed() {
	cp "$(file "$1")" "$work/$1.ko"
	"$KDIR/scripts/sign-file" sha512 "$KDIR/certs/signing_key.pem" "$KDIR/certs/signing_key.x509" \
		"$work/$1.ko"
	insmod "$work/$1.ko"
}

for module in x_tables ip_tables ip6_tables arp_tables iptable_filter nf_tables; do
	signed $module
done
check_fails "sig_enforce: rejects an unsigned module" "[Kk]ey" insmod "$(file iptverdict)"
check_that "sig_enforce: a signed module loads" signed iptverdict

make_hosts
ipt router -P FORWARD ACCEPT
pings() {
	in_net client ping -qc "$1" -i 0.01 $server >/dev/null
}
pings 2
check "sig_enforce: a signed module counts" "$(counted "ipv4 filter FORWARD ACCEPT")" "4 336"

# Integrity mode restricts writes to the kernel, not reads.
echo integrity >$lockdown
check "lockdown: integrity: stats can be read" "$(counted "ipv4 filter FORWARD ACCEPT")" "4 336"
check "lockdown: integrity: percpu can be read" \
	"$(awk 'NR > 1 { n += $6 } END { print n }' $debugfs/percpu)" 4
check_fails "lockdown: integrity: reset cannot be written" "Operation not permitted" \
	bash -c "echo 1 >$debugfs/reset"
check "lockdown: integrity: a rejected reset changes no counter" \
	"$(counted "ipv4 filter FORWARD ACCEPT")" "4 336"
trace_on "table == 'filter'"
pings 1
check "lockdown: integrity: events are recorded" "$(trace | columns hook verdict | grep FORWARD)" \
	$'FORWARD ACCEPT\nFORWARD ACCEPT'
trace_off

mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf
program=(bpftool prog loadall "$here/verdict.bpf.o" /sys/fs/bpf/locked)
check_that "lockdown: integrity: BPF programs that read packets load" "${program[@]}"
rm -r /sys/fs/bpf/locked

echo confidentiality >$lockdown
pings 1
check "lockdown: confidentiality: stats can be read" \
	"$(counted "ipv4 filter FORWARD ACCEPT")" "8 672"
check_fails "lockdown: confidentiality: events cannot be enabled" "Operation not permitted" \
	bash -c "echo 1 >$tracefs/events/iptables/ipt_verdict/enable"
check_fails "lockdown: confidentiality: BPF programs that read packets do not load" \
	"not permitted|permission|verifier|load" "${program[@]}"

done_testing
