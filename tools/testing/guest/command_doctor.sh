#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# iptverdict doctor, and what the other commands say where the events are missing: with a module
# without events, Debian's own or one that the bench builds.
#
# stock

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"
# shellcheck source=tools/testing/guest/command/lib.sh
. "$REPO/tools/testing/guest/command/lib.sh"

# unloaded: unloads iptables and nftables. Network namespaces end in the background, and use them
# until then.
unloaded() {
	local module
	# What uses x_tables also has other names, as ipt_REJECT.
	for module in $(lsmod | awk '/^(ip|ip6|arp)table_|^nft_/ { print $1 }
			/^(ip|ip6|arp|nf|x)_tables / { print $4 "," $1 }' | tr ',' ' '); do
		rmmod "$module" 2>/dev/null || :
	done
	! lsmod | grep -qE '^(ip|ip6|arp|nf|x)_tables'
}
wait_until unloaded

check "command: doctor: without iptables and nftables" "$(iptverdict doctor | tail -n 1)" \
	"neither iptables nor nftables is in use: their modules are not loaded"
check_fails "command: watch: without iptables and nftables" \
	"^iptverdict: neither iptables nor nftables is in use: their modules are not loaded$" iptverdict watch

for module in x_tables ip_tables; do
	insmod "$(find -L "$BENCH/unpatched" /var/lib/dkms/iptverdict/original_module "/lib/modules/$(uname -r)/kernel" \
		-name "$module.ko*" ! -name '*.origin' -print -quit 2>/dev/null)"
done
missing="this kernel has no verdict events: install iptverdict-dkms, then run iptverdict-switch or reboot"
check "command: doctor: a kernel without the events" "$(iptverdict doctor | tail -n 1)" "$missing"
check "command: doctor: names the module that is loaded without its event" "$(iptverdict doctor | sed -n 's/ \[.*//; /^ipt_verdict/p')" \
	"ipt_verdict: missing: ip_tables is loaded without it"
check_fails "command: top: a kernel without the events" "^iptverdict: $missing$" iptverdict top --once
rmmod ip_tables x_tables

modprobe ip_tables
iptables-legacy -t mangle -L -n >/dev/null
check "command: doctor: a kernel with the events" "$(iptverdict doctor | tail -n 1)" \
	"the verdict events are there: run 'iptverdict watch'"
check "command: doctor: its events" \
	"$(iptverdict doctor | sed -n 's/ \[.*//; /_verdict: /p' | sort)" \
	"arpt_verdict: not there: arp_tables is not loaded
ip6t_verdict: not there: ip6_tables is not loaded
ipt_verdict: present
nft_verdict: not there: nf_tables is not loaded"
ip netns add router
in_net router ip6tables-legacy -t raw -L -n >/dev/null
in_net router nft add table inet guard
check "command: doctor: the tables, in each network namespace" "$(iptverdict doctor | grep '^tables')" \
	"tables in host: iptables (legacy): ip mangle
tables in router: iptables (legacy): ip6 raw; nftables: inet guard"
check "command: doctor: without privilege, tables of nftables are unknown" \
	"$(setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all "$COMMAND" doctor | grep '^tables')" \
	"tables in host: nftables: unknown: nft: Operation not permitted (you must be root)"
ip netns del router
check "command: doctor: which iptables this is" "$(iptverdict doctor | sed -n 's/^iptables: //p')" \
	"$(iptables -V)"

done_testing
