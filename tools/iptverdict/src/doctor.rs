// SPDX-License-Identifier: GPL-2.0

//! `iptverdict doctor`: what this machine has, and what is missing.

use std::{fs, path::Path};

use anyhow::Result;

use crate::{
    bpf::{Event, Presence, CAPABILITIES, EVENTS},
    line::printable,
    run, sys, tables,
};

fn version(program: &str) -> Option<String> {
    let output = run::output(program, &["-V"]).ok()?;
    Some(output.trim().to_owned())
}

/// Which module of this name the kernel has loaded, or would load.
fn source(event: &Event) -> String {
    let Ok(path) = run::output("modinfo", &["-n", event.module]) else {
        return "no module".to_owned();
    };
    match path.trim() {
        path if path.contains("/updates/") => format!("{path} (iptverdict-dkms)"),
        path => path.to_owned(),
    }
}

/// What to do, in one line.
pub fn conclusion() -> String {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF): it cannot run these programs"
            .to_owned();
    }
    let presences: Vec<Presence> = EVENTS.iter().map(Event::presence).collect();
    let any = |wanted| presences.contains(&wanted);
    if any(Presence::Present) {
        "the verdict events are there: run 'iptverdict watch'".to_owned()
    } else if any(Presence::Missing) {
        "this kernel has no verdict events: install iptverdict-dkms, then run iptverdict-switch or reboot"
            .to_owned()
    } else if any(Presence::NoBtf) {
        "this kernel has no BTF of modules (CONFIG_DEBUG_INFO_BTF_MODULES): use the trace events"
            .to_owned()
    } else {
        "neither iptables nor nftables is in use: their modules are not loaded".to_owned()
    }
}

/// Where rules are: a line for each network namespace that has tables.
fn print_tables() {
    let mut none = true;
    for (netns, tables) in tables::everywhere() {
        let mut found = Vec::new();
        if !tables.legacy.is_empty() {
            found.push(format!("iptables (legacy): {}", tables.legacy.join(", ")));
        }
        match tables.nft {
            Ok(nft) if nft.is_empty() => (),
            Ok(nft) => found.push(format!("nftables: {}", nft.join(", "))),
            Err(error) => found.push(format!("nftables: unknown: {error}")),
        }
        if !found.is_empty() {
            println!(
                "tables in {}",
                printable(&format!("{netns}: {}", found.join("; ")))
            );
            none = false;
        }
    }
    if none {
        println!("tables: none");
    }
}

pub fn run() -> Result<()> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!("kernel: {}", kernel.trim());
    for event in &EVENTS {
        println!(
            "{}: {} [{}]",
            event.name,
            event.describe(event.presence()),
            source(event)
        );
    }
    for program in [
        "iptables",
        "ip6tables",
        "arptables",
        "iptables-legacy",
        "iptables-nft",
        "nft",
    ] {
        if let Some(version) = version(program) {
            println!("{program}: {version}");
        }
    }
    print_tables();
    if !sys::is_root() {
        println!(
            "this user is not root: tables may be missing above, and the other commands need root or \
             the capabilities {CAPABILITIES}"
        );
    }
    println!("{}", conclusion());
    Ok(())
}
