#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# The Rust abstractions in the instrumented kernel: with KASAN, UBSAN, kCFI, and
# the debug assertions and overflow checks of Rust.

set -euo pipefail
CONFIG=debug exec "$(dirname "$0")/../run" kunit rust
