// SPDX-License-Identifier: GPL-2.0

//! Rules of nftables: the one with a handle, as nft prints it; or as iptables-nft-save does, if
//! that can.
//!
//! A handle is never used again in its table, nor is the handle of a table in its network
//! namespace, and a rule does not change. So a listing is right whenever it was made.

use std::collections::HashMap;

use anyhow::Result;

use super::{xtables, Place};
use crate::run;

/// The rules of a table, by their handles.
type Rules = HashMap<u64, Place>;

/// The number in `# handle N`, and the text before it.
fn split_handle(line: &str) -> Option<(&str, u64)> {
    let (text, handle) = line.rsplit_once(" # handle ")?;
    Some((text, handle.parse().ok()?))
}

/// Reads what `nft -a list` printed: the handles of the tables, and their rules.
pub fn parse(listing: &str) -> HashMap<u64, Rules> {
    let mut tables: HashMap<u64, Rules> = HashMap::new();
    let (mut table, mut chain, mut number) = (None, None, 0);
    for line in listing.lines() {
        let depth = line.bytes().take_while(|&byte| byte == b'\t').count();
        let Some((text, handle)) = split_handle(&line[depth..]) else {
            if depth < 2 && line[depth..].starts_with('}') {
                chain = None;
            }
            continue;
        };
        match depth {
            0 if text.starts_with("table ") => {
                table = Some(handle);
                tables.insert(handle, Rules::new());
            }
            1 => {
                chain = text
                    .strip_prefix("chain ")
                    .and_then(|rest| rest.strip_suffix(" {"));
                number = 0;
            }
            2 => {
                if let (Some(table), Some(chain)) = (table, chain) {
                    number += 1;
                    let place = Place {
                        chain: chain.to_owned(),
                        number,
                        text: text.to_owned(),
                    };
                    tables.entry(table).or_default().insert(handle, place);
                }
            }
            _ => (),
        }
    }
    tables
}

/// The program that prints tables of a family as iptables-nft made them.
fn save_program(family: &str) -> Option<&'static str> {
    match family {
        "ip" => Some("iptables-nft-save"),
        "ip6" => Some("ip6tables-nft-save"),
        "arp" => Some("arptables-nft-save"),
        _ => None,
    }
}

/// Replaces the texts with those of iptables-nft-save, if it prints as many rules for each chain.
fn use_saved(rules: &mut Rules, saved: &str) {
    let lines = xtables::parse_save(saved);
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for place in rules.values() {
        *counts.entry(&place.chain).or_default() += 1;
    }
    let same = counts.len() == lines.len()
        && counts
            .iter()
            .all(|(chain, count)| lines.get(chain).is_some_and(|l| l.len() == *count));
    if same {
        for place in rules.values_mut() {
            place.text = lines[place.chain.as_str()][place.number - 1].to_owned();
        }
    }
}

/// Lists all tables of the network namespace of this thread.
fn list() -> Result<HashMap<u64, Rules>> {
    Ok(parse(&run::output("nft", &["-a", "list", "ruleset"])?))
}

/// Reads the rules of the table with this handle: none if it is gone.
pub fn snapshot(handle: u64, family: &str, name: &str) -> Result<Rules> {
    let mut rules = list()?.remove(&handle).unwrap_or_default();
    if let Some(program) = save_program(family) {
        let arguments: &[&str] = if family == "arp" { &[] } else { &["-t", name] };
        // It fails for tables that are not of iptables-nft, or is not installed.
        if let Ok(saved) = run::output(program, arguments) {
            // The numbers of the rules did not change meanwhile.
            if list()?.get(&handle) == Some(&rules) {
                use_saved(&mut rules, &saved);
            }
        }
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/nft.list"));
    const SAVED: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/nft-filter.save"
    ));

    fn place(chain: &str, number: usize, text: &str) -> Place {
        Place {
            chain: chain.to_owned(),
            number,
            text: text.to_owned(),
        }
    }

    #[test]
    fn rules_by_the_handles_of_table_and_rule() {
        let tables = parse(LISTING);
        assert_eq!(tables.len(), 3);
        let guard = &tables[&7];
        let mut handles: Vec<u64> = guard.keys().copied().collect();
        handles.sort_unstable();
        assert_eq!(handles, [6, 7, 9, 10, 12, 13]);
        assert_eq!(
            guard[&6],
            place("inner", 1, "udp dport 10 drop comment \"inner # handle 3\"")
        );
        assert_eq!(guard[&10], place("forward", 3, "udp dport vmap @ports"));
        assert_eq!(guard[&13], place("forward", 5, "counter name \"c\""));
        assert_eq!(
            tables[&8][&2],
            place("post", 1, "oifname \"r1\" masquerade")
        );
    }

    #[test]
    fn rules_of_iptables_nft_as_it_prints_them() {
        let mut rules = parse(LISTING).remove(&9).unwrap();
        use_saved(&mut rules, SAVED);
        assert_eq!(
            rules[&4],
            place(
                "FORWARD",
                2,
                "-A FORWARD -m string --string \"x\" --algo bm -j inner"
            )
        );
        assert_eq!(
            rules[&5].text,
            "-A inner -p tcp -j REJECT --reject-with icmp-port-unreachable"
        );
    }

    #[test]
    fn other_rules_than_saved_keep_their_text() {
        let mut rules = parse(LISTING).remove(&9).unwrap();
        rules.remove(&5);
        let before = rules.clone();
        use_saved(&mut rules, SAVED);
        assert_eq!(rules, before);
    }
}
