#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# iptverdict-switch, which replaces the kernel's own modules of iptables and nftables in a running
# kernel; and that these and those of iptverdict-dkms do not load together.
#
# by request: CONFIG=stock
# stock

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

events=$tracefs/events/iptables

# own MODULE...: loads the kernel's own modules, which DKMS may have moved.
own() {
	local module
	for module; do
		insmod "$(find "/lib/modules/$(uname -r)/kernel" /var/lib/dkms/iptverdict/original_module \
			-name "$module.ko*" ! -name '*.origin' 2>/dev/null | head -n 1)" || return 1
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
check_that "switch: ipt_verdict exists after a switch without rules" test -d $events/ipt_verdict
check "switch: a second time there is nothing to do" "$(iptverdict-switch)" \
	"The modules with the events are in use, or will be when iptables loads its modules."

# rejects NAME TEXT: a test that passes if nothing is replaced, for this reason.
rejects() {
	local before
	before=$(saved)
	check_fails "switch: refuses: $1" "^iptverdict: $2.*; nothing was changed$" iptverdict-switch
	check "switch: $1: the rules are as before" "$(saved)" "$before"
	check_that "switch: $1: the kernel's own modules are in use" test ! -d $events/ipt_verdict
}
# saved: prints the rules of two namespaces.
saved() {
	local net
	for net in /proc/1/ns/net /run/netns/router; do
		nsenter --net=$net iptables-legacy -S
		nsenter --net=$net ip6tables-legacy -S
	done
}

unload
own x_tables ip_tables ip6_tables arp_tables iptable_filter ip6table_filter arptable_filter
ipt router -A FORWARD -p udp -m multiport --dports 5,7 -j DROP
rejects "a rule" "rules are in use \(iptables filter\): reboot"
ipt router -F
ip6t router -P FORWARD DROP
rejects "a policy" "rules are in use \(ip6tables filter\): reboot"
ip6t router -P FORWARD ACCEPT
in_net router arptables-legacy -A INPUT -s 192.0.2.1 -j DROP
rejects "a rule of arptables" "rules are in use \(arptables filter\): reboot"
in_net router arptables-legacy -F
insmod "$KDIR/test-modules/xt_busy.ko"
rejects "a module in use" "modules stay in use \(x_tables xt_busy\): reboot"
echo 0 >/sys/module/xt_busy/parameters/busy
rmmod xt_busy
check_that "switch: replaces modules of all families" iptverdict-switch
for event in ipt_verdict ip6t_verdict arpt_verdict; do
	check_that "switch: $event exists after a switch of all families" test -d $events/$event
done
unload

# nftables.
# unload_nft: removes the tables of nftables, and unloads it.
unload_nft() {
	local module net
	for net in /proc/1/ns/net /run/netns/router; do
		[[ ! -d /sys/module/nf_tables ]] || nsenter --net=$net nft flush ruleset
	done
	for module in $(lsmod | awk '/^nft_/ { print $1 }') nf_tables; do
		[[ ! -d /sys/module/$module ]] || rmmod "$module"
	done
}
# May be built in.
modprobe --quiet nfnetlink || :
modprobe nf_nat
unload_nft
own nf_tables
in_net router nft add table inet guarded
check_fails "switch: refuses: a table of nftables" \
	"^iptverdict: rules are in use \(nftables inet guarded\): reboot; nothing was changed$" iptverdict-switch
check "switch: a table of nftables: it is as before" "$(in_net router nft list tables)" "table inet guarded"
check_that "switch: a table of nftables: the kernel's own module is in use" \
	test ! -d $tracefs/events/nftables
in_net router nft delete table inet guarded
check "switch: replaces nftables without tables" "$(iptverdict-switch)" "Replaced: nf_tables"
check_that "switch: nft_verdict exists after a switch of nftables" test -d $tracefs/events/nftables/nft_verdict
check_that "switch: chains of type nat work after a switch of nftables" in_net router nft -f - <<'E'
table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat
		masquerade
	}
}
E
unload_nft

# A rule of iptables-nft that needs a match of iptables.
own x_tables ip_tables ip6_tables iptable_filter ip6table_filter
iptables-nft -A INPUT -m string --algo bm --string secret -j DROP
rejects "a rule of iptables-nft" "x_tables cannot be replaced while nft_compat is in use: reboot"
iptables-nft -F INPUT
check_fails "switch: rejects an argument" "usage: iptverdict-switch" iptverdict-switch --force
unload

# From here on, the kernel only loads modules that are signed by Debian.
own x_tables ip_tables ip6_tables iptable_filter ip6table_filter
echo 1 >/sys/module/module/parameters/sig_enforce
rejects "the key of DKMS is not enrolled" "the modules with the events do not load \(.*\): the kernel's own are loaded again"
# prepare: runs what DKMS runs before it builds.
prepare() {
	local build
	build=$(mktemp -d)
	cp -r /usr/src/iptverdict-*/. "$build"
	(cd "$build" && ./prepare 0 "$(uname -r)" "/lib/modules/$(uname -r)/build" x_tables)
}
check_fails "dkms: nothing is built that the kernel would not load" \
	"^iptverdict: this machine loads only signed modules, and the key of DKMS is not enrolled" prepare
unload
done_testing
