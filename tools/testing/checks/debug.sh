#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The Rust abstractions in the instrumented kernel: with KASAN, UBSAN, kCFI, and the debug
# assertions and overflow checks of Rust. CONFIG=debug make test is all that runs in a
# guest.

set -euo pipefail
CONFIG=debug exec "$(dirname "$0")/../run" kunit rust leaks
