#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# A kernel that loads only signed modules, and one that is locked down.
#
# boot KERNEL_OPTS=module.sig_enforce=1
# needs CONFIG_RUST

# shellcheck source=tools/env.sh
. "$(dirname "$(realpath "$0")")/../../env.sh"
# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

lockdown=/sys/kernel/security/lockdown
mountpoint -q /sys/kernel/security || mount -t securityfs none /sys/kernel/security

# file MODULE: in the build directory, where nothing is signed.
file() {
	modinfo -F filename "$1"
}
# As Documentation/admin-guide/module-signing.rst has it, with the key of the build.
signed() {
	cp "$(file "$1")" "$work/$1.ko"
	"$KDIR/scripts/sign-file" sha512 "$KDIR/certs/signing_key.pem" "$KDIR/certs/signing_key.x509" \
		"$work/$1.ko"
	insmod "$work/$1.ko"
}

for module in x_tables ip_tables ip6_tables arp_tables iptable_filter; do
	signed $module
done
check_fails "an unsigned module is refused" "[Kk]ey" insmod "$(file iptverdict)"
check_that "a signed one is loaded" signed iptverdict

make_hosts
ipt router -P FORWARD ACCEPT
pings() {
	host client ping -qc "$1" -i 0.01 $server >/dev/null
}
counted() {
	sed -n 's/^ipv4 filter FORWARD ACCEPT //p' $debugfs/stats
}
pings 2
check "and counts" "$(counted)" "4 336"

# A file that only root can read is no secret to root, and neither are events, as long as
# only the integrity of the kernel is to be kept.
echo integrity >$lockdown
check "integrity: stats can be read" "$(counted)" "4 336"
check "percpu, too" "$(awk 'NR > 1 { n += $6 } END { print n }' $debugfs/percpu)" 4
check_fails "reset cannot be written" "Operation not permitted" bash -c "echo 1 >$debugfs/reset"
check "and has changed nothing" "$(counted)" "4 336"
trace_on "table == 'filter'"
pings 1
check "events are recorded" "$(trace | columns hook verdict | grep FORWARD)" \
	$'FORWARD ACCEPT\nFORWARD ACCEPT'
trace_off

mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf
program=(bpftool prog loadall "$here/verdict.bpf.o" /sys/fs/bpf/locked)
check_that "programs that read packets are loaded" "${program[@]}"
rm -r /sys/fs/bpf/locked

echo confidentiality >$lockdown
pings 1
check "confidentiality: stats can be read" "$(counted)" "8 672"
check_fails "no events" "Operation not permitted" \
	bash -c "echo 1 >$tracefs/events/iptables/ipt_verdict/enable"
check_fails "nor such programs" "not permitted|permission|verifier|load" "${program[@]}"

done_testing
