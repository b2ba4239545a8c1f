// SPDX-License-Identifier: GPL-2.0

//! Compiles the BPF programs, and generates their types for Rust.

use std::{env, path::PathBuf};

use libbpf_cargo::SkeletonBuilder;

fn main() {
    let skeleton =
        PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("iptverdict.skel.rs");
    println!("cargo:rerun-if-changed=src/bpf");
    SkeletonBuilder::new()
        .source("src/bpf/iptverdict.bpf.c")
        // 32-bit registers and comparisons, since Linux 5.1.
        .clang_args(["-mcpu=v3", "-Wall", "-Wextra", "-Wno-missing-declarations"])
        .build_and_generate(&skeleton)
        .expect("the BPF programs compile");
}
