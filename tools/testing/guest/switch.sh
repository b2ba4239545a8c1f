#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# iptverdict-switch, which replaces the kernel's own iptables modules in a running kernel; and that
# these and those of iptverdict-dkms do not load together.
#
# by request: CONFIG=stock

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$KTREE/tools/testing/selftests/iptverdict/lib.sh"

# DKMS keeps what it has replaced.
originals=/var/lib/dkms/iptverdict/original_module/$(uname -r)/$(uname -m)
events=$tracefs/events/iptables


# own MODULE...: loads the kernel's own modules.
own() {
	local module
	for module; do
		insmod "$originals/$module.ko"* || return 1
	done
}

# unload: removes all rules, which hold references to modules, and unloads iptables.
unload() {
	local module net
	for net in /proc/1/ns/net /run/netns/router; do
		[[ ! -d /sys/module/iptable_filter ]] || nsenter --net=$net iptables-legacy -F
		[[ ! -d /sys/module/ip6table_filter ]] || nsenter --net=$net ip6tables-legacy -F
	done
	for module in $(lsmod | awk '/^(ip|ip6|arp)table_/ { print $1 }') ip_tables ip6_tables arp_tables; do
		[[ ! -d /sys/module/$module ]] || rmmod "$module"
	done
	for module in $(lsmod | awk '/^(nft_compat|xt_|ipt_|ip6t_|arpt_)/ { print $1 }') x_tables; do
		[[ ! -d /sys/module/$module ]] || rmmod "$module"
	done
}

# With CONFIG_MODVERSIONS the kernel compares versions of symbols, too.
mismatch="Unknown symbol|Invalid argument|Invalid parameters"

make_hosts
unload
own x_tables
check_fails "switch: the modules with the events do not load beside the kernel's own x_tables" \
	"$mismatch" modprobe ip_tables
unload
modprobe x_tables
check_fails "switch: the kernel's own modules do not load beside x_tables of the package" \
	"$mismatch" own ip_tables
unload

own x_tables ip_tables iptable_filter
check_that "switch: replaces modules without rules" iptverdict-switch
check_that "switch: then the event exists" test -d $events/ipt_verdict
check "switch: a second time there is nothing to do" "$(iptverdict-switch)" \
	"The modules with the events are in use, or will be when iptables loads its modules."

# Rules in two namespaces, with counters.
unload
own x_tables ip_tables ip6_tables arp_tables iptable_filter ip6table_filter arptable_filter
iptables-legacy -A INPUT -p udp -m comment --comment "of the host" -j ACCEPT
ipt router -P INPUT DROP
ipt router -A FORWARD -p udp -m multiport --dports 5,7 -j DROP
ip6t router -A FORWARD -p tcp -j REJECT
datagrams $server 5 5 7 9
# saved: prints all rules, without the lines that contain the time. IPv6 has traffic of its own.
saved() {
	local net
	for net in /proc/1/ns/net /run/netns/router; do
		nsenter --net=$net iptables-legacy-save -c
		nsenter --net=$net ip6tables-legacy-save -c | sed '/^:/s/ \[.*//'
	done | grep -v '^#'
}
before=$(saved)
check "switch: the rules of the test have counted" "$(grep -c '^\[3:114\] -A FORWARD .* -j DROP$' <<<"$before")" 1
check_fails "switch: changes nothing while rules are in use" \
	"rules are in use, in the tables filter: reboot, or run 'iptverdict-switch --restore'.*nothing was changed" iptverdict-switch
check "switch: the rules are as before" "$(saved)" "$before"
check_that "switch: the kernel's own modules are still in use" test ! -d $events/ipt_verdict
in_net router arptables-legacy -A INPUT -s 192.0.2.1 -j DROP
check_fails "switch --restore: leaves rules of arptables" "arptables are in use: reboot; nothing was changed" \
	iptverdict-switch --restore
in_net router arptables-legacy -F INPUT
check_that "switch --restore: replaces modules with rules" iptverdict-switch --restore
said=$(tail -n 1 "$work/output")
echo "# $said"
check_that "switch --restore: prints for how long there were no rules" \
	grep -qE '^The tables filter had no rules for [0-9]+ ms\.$' <<<"$said"
check "switch --restore: the rules and their counters are as before" "$(saved)" "$before"
for event in ipt_verdict ip6t_verdict arpt_verdict; do
	check_that "switch --restore: then $event exists" test -d $events/$event
done
unload

# A module that stays in use: the rules come back.
own x_tables ip_tables iptable_filter
insmod "$KDIR/test-modules/xt_busy.ko"
iptables-legacy -A INPUT -p udp -m comment --comment "of the host" -j ACCEPT
before=$(saved)
check_fails "switch --restore: names a module that stays in use" \
	"the modules stay in use \(x_tables xt_busy\): reboot; the rules are as before" iptverdict-switch --restore
check "switch --restore: then the rules are as before" "$(saved)" "$before"
check_that "switch --restore: then the kernel's own modules are in use" test ! -d $events/ipt_verdict
echo 0 >/sys/module/xt_busy/parameters/busy
rmmod xt_busy
unload

# A rule of iptables-nft that needs a match of iptables.
own x_tables ip_tables
iptables-nft -A INPUT -m string --algo bm --string secret -j DROP
check_fails "switch: leaves x_tables to nftables" "nft_compat is in use .*nothing was changed" iptverdict-switch --restore
iptables-nft -F INPUT
check_fails "switch: rejects an unknown option" "usage: iptverdict-switch" iptverdict-switch --force
unload
done_testing
