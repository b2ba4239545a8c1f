// SPDX-License-Identifier: GPL-2.0

//! Rules of nftables: the one with a handle, as nft prints it; or as iptables-nft-save does, if
//! that can.
//!
//! A handle is never used again in its table, nor is the handle of a table in its network
//! namespace, and a rule does not change. So the text of a rule is right whenever it was listed. Its
//! number is that at the time.

use std::collections::{BTreeMap, HashMap};

use anyhow::{bail, Context, Result};
use serde::Deserialize;

use super::{xtables, Place};
use crate::run;

/// A table that changes while it is listed is listed again, so many times in all.
const LISTINGS: usize = 3;

/// The rules of a table, by their handles.
type Rules = HashMap<u64, Place>;

/// The number in `# handle N`, and the text before it.
fn split_handle(line: &str) -> Option<(&str, u64)> {
    let (text, handle) = line.rsplit_once(" # handle ")?;
    Some((text, handle.parse().ok()?))
}

/// The handle of a table, which the name of a program may follow.
fn table_handle(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(" # handle ")?;
    rest.split(' ').next()?.parse().ok()
}

/// Reads what `nft -a list` printed: the handles of the tables, and their rules.
///
/// A comment may have any bytes, also those of a line with another handle. See `verify`.
pub fn parse(listing: &str) -> HashMap<u64, Rules> {
    let mut tables: HashMap<u64, Rules> = HashMap::new();
    let (mut table, mut chain, mut number) = (None, None, 0);
    // The beginning of a rule that jumps to a chain without a name.
    let mut open = "";
    for line in listing.lines() {
        let depth = line.bytes().take_while(|&byte| byte == b'\t').count();
        let line = &line[depth..];
        if depth == 0 && line.starts_with("table ") {
            table = table_handle(line);
            chain = None;
            tables.extend(table.map(|handle| (handle, Rules::new())));
            continue;
        }
        let Some((text, handle)) = split_handle(line) else {
            if depth < 2 && line.starts_with('}') {
                chain = None;
            }
            if depth == 2 && line.ends_with('{') {
                open = line;
            }
            continue;
        };
        match depth {
            1 => {
                chain = text
                    .strip_prefix("chain ")
                    .and_then(|rest| rest.strip_suffix(" {"));
                number = 0;
            }
            2 => {
                if let (Some(table), Some(chain)) = (table, chain) {
                    number += 1;
                    let text = match text {
                        "}" => format!("{open} ... }}"),
                        text => text.to_owned(),
                    };
                    let place = Place {
                        chain: chain.to_owned(),
                        number,
                        text,
                    };
                    tables.entry(table).or_default().insert(handle, place);
                }
            }
            _ => (),
        }
    }
    tables
}

/// What `nft -j list` prints. It has no text of rules, so no comment can pretend to be a rule.
#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    table: Option<ListedTable>,
    rule: Option<ListedRule>,
}

#[derive(Deserialize)]
struct ListedTable {
    family: String,
    name: String,
    handle: u64,
}

#[derive(Deserialize)]
struct ListedRule {
    family: String,
    table: String,
    chain: String,
    handle: u64,
}

/// The handles of the rules of a table in their order, by chain.
fn order(listing: &Listing, handle: u64) -> BTreeMap<&str, Vec<u64>> {
    let mut chains: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut tables = listing
        .nftables
        .iter()
        .filter_map(|item| item.table.as_ref());
    let Some(table) = tables.find(|table| table.handle == handle) else {
        return chains;
    };
    for rule in listing
        .nftables
        .iter()
        .filter_map(|item| item.rule.as_ref())
    {
        // Chains without a name are listed inside the rule that jumps to them.
        if (&rule.family, &rule.table) == (&table.family, &table.name)
            && !rule.chain.starts_with("__chain")
        {
            chains.entry(&rule.chain).or_default().push(rule.handle);
        }
    }
    chains
}

/// Whether both listings have the same rules at the same places.
fn verify(rules: &Rules, order: &BTreeMap<&str, Vec<u64>>) -> bool {
    rules.len() == order.values().map(Vec::len).sum::<usize>()
        && order.iter().all(|(chain, handles)| {
            handles.iter().zip(1..).all(|(handle, number)| {
                rules
                    .get(handle)
                    .is_some_and(|place| place.chain == *chain && place.number == number)
            })
        })
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

/// Lists the rules of a table of the network namespace of this thread, without the values of
/// counters and the elements of sets: none if the table is gone.
fn list(handle: u64) -> Result<Rules> {
    for _ in 0..LISTINGS {
        let text = run::output("nft", &["-s", "-t", "-a", "list", "ruleset"])?;
        let rules = parse(&text).remove(&handle).unwrap_or_default();
        let json = run::output("nft", &["-j", "-s", "-t", "-a", "list", "ruleset"])?;
        let listing = serde_json::from_str(&json).context("nft -j printed something else")?;
        if verify(&rules, &order(&listing, handle)) {
            return Ok(rules);
        }
    }
    bail!("the table changes too often to be read, or nft's listing of it is ambiguous");
}

/// Reads the rules of the table with this handle: none if it is gone.
pub fn snapshot(handle: u64, family: &str, name: &str) -> Result<Rules> {
    let mut rules = list(handle)?;
    if let Some(program) = save_program(family) {
        let arguments: &[&str] = if family == "arp" { &[] } else { &["-t", name] };
        // It fails for tables that are not of iptables-nft, or is not installed.
        if let Ok(saved) = run::output(program, arguments) {
            // The numbers of the rules did not change meanwhile.
            if list(handle)? == rules {
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
    fn a_table_with_an_owner() {
        let tables = parse(
            "table ip filter { # handle 1\n\tchain a { # handle 1\n\t\tdrop # handle 5\n\t}\n}\n\
             table inet firewalld { # handle 2 progname firewalld\n\tchain b { # handle 1\n\
             \t\taccept # handle 5\n\t}\n}\n",
        );
        assert_eq!(tables[&1][&5], place("a", 1, "drop"));
        assert_eq!(tables[&2][&5], place("b", 1, "accept"));
    }

    #[test]
    fn a_chain_without_a_name() {
        let tables = parse(
            "table ip t { # handle 1\n\tchain a { # handle 1\n\t\tudp dport 1 jump {\n\
             \t\t\tdrop # handle 4\n\t\t} # handle 5\n\t\taccept # handle 6\n\t}\n}\n",
        );
        assert_eq!(tables[&1][&5], place("a", 1, "udp dport 1 jump { ... }"));
        assert_eq!(tables[&1][&6], place("a", 2, "accept"));
        assert_eq!(tables[&1].len(), 2);
    }

    #[test]
    fn a_comment_that_pretends_to_be_a_rule() {
        let json = |handles: &str| {
            let rules: String = handles
                .split(' ')
                .map(|h| {
                    format!(r#",{{"rule":{{"family":"ip","table":"t","chain":"a","handle":{h}}}}}"#)
                })
                .collect();
            format!(
                r#"{{"nftables":[{{"table":{{"family":"ip","name":"t","handle":1}}}}{rules}]}}"#
            )
        };
        let verified = |rules: &str, handles: &str| {
            let text =
                format!("table ip t {{ # handle 1\n\tchain a {{ # handle 1\n{rules}\t}}\n}}\n");
            let listing = serde_json::from_str(&json(handles)).unwrap();
            verify(&parse(&text)[&1], &order(&listing, 1))
        };
        assert!(verified(
            "\t\tdrop # handle 5\n\t\taccept # handle 6\n",
            "5 6"
        ));
        assert!(!verified(
            "\t\tdrop # handle 5\n\t\taccept # handle 6\n",
            "6 5"
        ));
        assert!(!verified(
            "\t\tdrop comment \"\n\t\taccept # handle 6\n\" # handle 5\n\t\tdrop # handle 6\n",
            "5 6"
        ));
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
