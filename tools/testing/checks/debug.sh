#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The Rust abstractions in the instrumented kernel: KASAN, UBSAN, kCFI, and Rust's debug
# assertions and overflow checks.
#
# objects of its own: 27 minutes

set -euo pipefail
CONFIG=debug "$(dirname "$0")/../run" kunit rust_drops leaks |
	sed -E 's/^((not )?ok [0-9]+ )/\1CONFIG=debug: /'
