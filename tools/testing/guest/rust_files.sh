#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# Files that a module in Rust creates in debugfs pin the module while they are open.
#
# needs CONFIG_RUST

# shellcheck source=tools/testing/selftests/iptverdict/lib.sh
. "$SELFTESTS/lib.sh"

insmod "$KDIR/test-modules/rust_files.ko"
for file in rust_files/dir/file rust_files/scope/file rust_scope/file; do
	exec 3</sys/kernel/debug/$file
	check_fails "rust_files: open $file prevents unload" "in use" rmmod rust_files
	exec 3<&-
done
check_that "rust_files: unloads once the files are closed" rmmod rust_files
check_that "rust_files: the directories are gone" test ! -e /sys/kernel/debug/rust_files -a \
	! -e /sys/kernel/debug/rust_scope

done_testing
