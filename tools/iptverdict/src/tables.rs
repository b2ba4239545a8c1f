// SPDX-License-Identifier: GPL-2.0

//! The tables that network namespaces have.

use std::{fs, path::Path};

use anyhow::{bail, Result};

use crate::{event, netns, run};

/// The tables of a network namespace, each as its family and its name.
pub struct Tables {
    pub legacy: Vec<String>,
    pub nft: Result<Vec<String>>,
}

fn legacy() -> Vec<String> {
    let mut found = Vec::new();
    for family in ["ip", "ip6", "arp"] {
        // Only root can read it.
        let names = fs::read_to_string(format!("/proc/thread-self/net/{family}_tables_names"));
        for name in names.unwrap_or_default().lines() {
            found.push(format!("{family} {name}"));
        }
    }
    found
}

fn nft() -> Result<Vec<String>> {
    // nft would load it.
    if !Path::new("/sys/module/nf_tables").exists() {
        return Ok(Vec::new());
    }
    let list = run::output("nft", &["list", "tables"])?;
    let tables = list.lines().map(|line| line.trim_start_matches("table "));
    Ok(tables.map(str::to_owned).collect())
}

/// Those of each network namespace that this process can enter, with the name of the namespace.
pub fn everywhere() -> impl Iterator<Item = (String, Tables)> {
    netns::each(|| Tables {
        legacy: legacy(),
        nft: nft(),
    })
}

/// Fails if there is no table with this name.
pub fn check(name: &str) -> Result<()> {
    let has = |table: &String| {
        table
            .split_once(' ')
            .is_some_and(|(_, known)| known == name)
    };
    // Without an answer from nft there may be.
    let may_have = |tables: &Tables| match &tables.nft {
        Ok(nft) => nft.iter().any(has),
        Err(_) => true,
    };
    // Those of iptables come and go with their modules.
    if !event::TABLES.contains(&name) && !everywhere().any(|(_, tables)| may_have(&tables)) {
        bail!("no table {name}: 'iptverdict doctor' lists the tables");
    }
    Ok(())
}
