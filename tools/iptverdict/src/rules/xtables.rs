// SPDX-License-Identifier: GPL-2.0

//! Rules of iptables, ip6tables and arptables: which one is at an offset of the ruleset, and how
//! the save program prints it.
//!
//! The blob that getsockopt() returns has the offsets, but not the text. The save program prints
//! the text, perhaps with the chains in another order. A rule is at the same place of its chain
//! in both.

use std::collections::HashMap;

use anyhow::{anyhow, bail, ensure, Context, Result};

use super::Place;
use crate::{run, sys};

const NAME_LEN: usize = 32;
const TARGET_HEADER_LEN: usize = 32;
const ERROR_NAME_LEN: usize = 30;

/// Where a family keeps what, in `<linux/netfilter_ipv4/ip_tables.h>` and its relatives.
pub struct Family {
    domain: i32,
    level: i32,
    get_info: i32,
    pub hooks: &'static [&'static str],
    /// Offset of target_offset in an entry; next_offset follows.
    target_offset: usize,
    /// The programs that print the rules: that of the legacy tables, and one that may be.
    programs: [&'static str; 2],
}

const INET_HOOKS: &[&str] = &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
const ARP_HOOKS: &[&str] = &["INPUT", "OUTPUT", "FORWARD"];

pub const IPV4: Family = Family {
    domain: libc::AF_INET,
    level: libc::IPPROTO_IP,
    get_info: 64,
    hooks: INET_HOOKS,
    target_offset: 88,
    programs: ["iptables-legacy-save", "iptables-save"],
};
pub const IPV6: Family = Family {
    domain: libc::AF_INET6,
    level: libc::IPPROTO_IPV6,
    get_info: 64,
    hooks: INET_HOOKS,
    target_offset: 140,
    programs: ["ip6tables-legacy-save", "ip6tables-save"],
};
pub const ARP: Family = Family {
    domain: libc::AF_INET,
    level: libc::IPPROTO_IP,
    get_info: 96,
    hooks: ARP_HOOKS,
    target_offset: 164,
    // arptables-legacy-save runs whatever arptables is.
    programs: ["arptables-legacy", "arptables"],
};

/// A table as the kernel has it.
#[derive(Clone)]
struct Blob {
    valid_hooks: u32,
    /// Offsets of the first rule and of the policy of each built-in chain.
    starts: Vec<u32>,
    policies: Vec<u32>,
    entries: Vec<u8>,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(u16::from_ne_bytes(bytes).into())
}

/// The text before the first NUL byte.
fn text_at(bytes: &[u8], at: usize, len: usize) -> Option<&str> {
    let bytes = bytes.get(at..at.checked_add(len)?)?;
    std::str::from_utf8(bytes.split(|&byte| byte == 0).next()?).ok()
}

/// The size of struct ipt_getinfo: name, valid_hooks, hook_entry[], underflow[], num_entries, size.
fn info_len(family: &Family) -> usize {
    NAME_LEN + 4 + 8 * family.hooks.len() + 8
}

/// The size of the entries.
fn entries_len(family: &Family, info: &[u8]) -> usize {
    u32_at(info, info_len(family) - 4).unwrap_or(0) as usize
}

impl Blob {
    fn new(family: &Family, info: &[u8], entries: Vec<u8>) -> Self {
        let hooks = family.hooks.len();
        let word = |n: usize| u32_at(info, NAME_LEN + 4 * n).unwrap_or(0);
        Self {
            valid_hooks: word(0),
            starts: (0..hooks).map(|i| word(1 + i)).collect(),
            policies: (0..hooks).map(|i| word(1 + hooks + i)).collect(),
            entries,
        }
    }
}

/// A table that is replaced while it is read is read again, so many times in all.
const READS: usize = 100;

/// Reads a table of the network namespace of this thread.
fn read(family: &Family, table: &str) -> Result<Blob> {
    ensure!(table.len() < NAME_LEN, "the name of the table is too long");
    let socket = sys::socket(family.domain, libc::SOCK_RAW, libc::IPPROTO_RAW)?;
    for _ in 0..READS {
        let mut info = vec![0; info_len(family)];
        info[..table.len()].copy_from_slice(table.as_bytes());
        sys::getsockopt(&socket, family.level, family.get_info, &mut info)?;
        let size = entries_len(family, &info);

        // struct ipt_get_entries: name, size, padding, entries.
        let mut entries = vec![0; NAME_LEN + 8 + size];
        entries[..table.len()].copy_from_slice(table.as_bytes());
        entries[NAME_LEN..NAME_LEN + 4].copy_from_slice(&u32::try_from(size)?.to_ne_bytes());
        match sys::getsockopt(&socket, family.level, family.get_info + 1, &mut entries) {
            Ok(_) => {
                let entries = entries.split_off(NAME_LEN + 8);
                return Ok(Blob::new(family, &info, entries));
            }
            // A table of another size replaced it between the two calls.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => (),
            Err(error) => return Err(error.into()),
        }
    }
    bail!("the table was replaced each time it was read");
}

/// Chain and number of the rule at each offset. Policies and the ends of chains have none.
fn places(family: &Family, blob: &Blob) -> Result<HashMap<u64, (String, usize)>> {
    let broken = || anyhow!("the kernel returned a table that cannot be read");
    let valid = |hook: usize| blob.valid_hooks & (1 << hook) != 0;
    let mut found = HashMap::new();
    let (mut chain, mut number, mut at) = (String::new(), 0, 0);
    while at < blob.entries.len() {
        let target_offset = u16_at(&blob.entries, at + family.target_offset).ok_or_else(broken)?;
        let next = u16_at(&blob.entries, at + family.target_offset + 2).ok_or_else(broken)?;
        ensure!(next > 0, broken());
        let target = at + target_offset;
        if text_at(&blob.entries, target + 2, TARGET_HEADER_LEN - 3) == Some("ERROR") {
            // The head of a chain of the user, or the end of the table.
            chain = text_at(&blob.entries, target + TARGET_HEADER_LEN, ERROR_NAME_LEN)
                .ok_or_else(broken)?
                .to_owned();
            number = 0;
        } else {
            let offset = u32::try_from(at)?;
            for (hook, name) in family.hooks.iter().enumerate() {
                if valid(hook) && blob.starts[hook] == offset {
                    (*name).clone_into(&mut chain);
                    number = 0;
                }
            }
            number += 1;
            let policy =
                (0..family.hooks.len()).any(|hook| valid(hook) && blob.policies[hook] == offset);
            if !policy {
                found.insert(at as u64, (chain.clone(), number));
            }
        }
        at += next;
    }
    Ok(found)
}

/// The rules that a save program printed, by chain, in their order.
pub fn parse_save(text: &str) -> HashMap<&str, Vec<&str>> {
    let mut rules: HashMap<&str, Vec<&str>> = HashMap::new();
    for line in text.lines() {
        if let Some(chain) = line
            .strip_prefix("-A ")
            .and_then(|rest| rest.split(' ').next())
        {
            rules.entry(chain).or_default().push(line);
        }
    }
    rules
}

/// Turns the list of `arptables -L -n` into what arptables-save prints.
fn save_from_list(list: &str) -> String {
    let (mut text, mut chain) = (String::new(), "");
    for line in list.lines() {
        if let Some(rest) = line.strip_prefix("Chain ") {
            chain = rest.split(' ').next().unwrap_or_default();
        } else if !line.is_empty() {
            text += &format!("-A {chain} {line}\n");
        }
    }
    text
}

/// Runs the program that prints the rules.
fn save(family: &Family, table: &str) -> Result<String> {
    let [legacy, plain] = family.programs;
    if family.get_info == ARP.get_info {
        let arguments = ["-t", table, "-L", "-n"];
        return output(legacy, plain, &arguments).map(|list| save_from_list(&list));
    }
    output(legacy, plain, &["-t", table])
}

/// Runs the first program, or the second one, if it reads the legacy tables.
fn output(legacy: &str, plain: &str, arguments: &[&str]) -> Result<String> {
    match run::output(legacy, arguments) {
        Err(error) if error.to_string().contains("not installed") => {
            if run::output(plain, &["-V"])?.contains("nf_tables") {
                bail!("{legacy} is not installed, and {plain} prints the rules of nftables");
            }
            run::output(plain, arguments)
        }
        other => other,
    }
}

/// Reads the rules of a table of the network namespace of this thread, by their offsets.
pub fn snapshot(family: &Family, table: &str) -> Result<HashMap<u64, Place>> {
    let blob = read(family, table).context("cannot read the table")?;
    rules(family, &blob, &save(family, table)?)
}

/// The rules by their offsets, from both sources. A chain for which they have different numbers of
/// rules has none: a comment may look like a rule.
fn rules(family: &Family, blob: &Blob, saved: &str) -> Result<HashMap<u64, Place>> {
    let mut lines = parse_save(saved);
    let places = places(family, blob)?;
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (chain, number) in places.values() {
        let last = last.entry(chain).or_default();
        *last = (*last).max(*number);
    }
    lines.retain(|chain, lines| {
        let user = !family.hooks.contains(chain);
        // The RETURN at the end of a chain of the user has no line.
        last.get(chain)
            .is_some_and(|last| *last == lines.len() + usize::from(user))
    });
    Ok(places
        .into_iter()
        .filter_map(|(offset, (chain, number))| {
            let text = (*lines.get(chain.as_str())?.get(number - 1)?).to_owned();
            Some((
                offset,
                Place {
                    chain,
                    number,
                    text,
                },
            ))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table that a kernel returned, what ruleset.py found in it, and what the program printed.
    struct Captured {
        family: &'static Family,
        info: &'static [u8],
        entries: &'static [u8],
        places: &'static str,
        saved: String,
    }

    macro_rules! data {
        ($include:ident, $name:literal, $kind:literal) => {
            $include!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/data/",
                $name,
                ".",
                $kind
            ))
        };
    }

    macro_rules! captured {
        ($family:expr, $name:literal, $saved:expr) => {
            Captured {
                family: $family,
                info: data!(include_bytes, $name, "info"),
                entries: data!(include_bytes, $name, "entries"),
                places: data!(include_str, $name, "places"),
                saved: $saved,
            }
        };
        ($family:expr, $name:literal) => {
            captured!($family, $name, data!(include_str, $name, "save").to_owned())
        };
    }

    fn all() -> Vec<Captured> {
        vec![
            captured!(&IPV4, "ipv4-raw"),
            captured!(&IPV4, "ipv4-mangle"),
            captured!(&IPV4, "ipv4-filter"),
            captured!(&IPV4, "ipv4-security"),
            captured!(&IPV6, "ipv6-raw"),
            captured!(&IPV6, "ipv6-mangle"),
            captured!(&IPV6, "ipv6-filter"),
            captured!(&IPV6, "ipv6-security"),
            captured!(
                &ARP,
                "arp-filter",
                save_from_list(data!(include_str, "arp-filter", "list"))
            ),
        ]
    }

    impl Captured {
        fn blob(&self) -> Blob {
            Blob::new(self.family, self.info, self.entries.to_vec())
        }
    }

    #[test]
    fn places_are_those_of_ruleset_py() {
        for table in all() {
            let expected: HashMap<u64, (String, usize)> = table
                .places
                .lines()
                .filter_map(|line| {
                    let mut words = line.split(' ');
                    let offset = words.next()?.parse().ok()?;
                    let chain = words.next()?.to_owned();
                    Some((offset, (chain, words.next()?.parse().ok()?)))
                })
                .collect();
            assert!(!expected.is_empty());
            assert_eq!(places(table.family, &table.blob()).unwrap(), expected);
            assert_eq!(entries_len(table.family, table.info), table.entries.len());
        }
    }

    #[test]
    fn every_saved_line_belongs_to_one_offset() {
        for table in all() {
            let found = rules(table.family, &table.blob(), &table.saved).unwrap();
            let mut texts: Vec<&str> = found.values().map(|place| place.text.as_str()).collect();
            let mut lines: Vec<&str> = table
                .saved
                .lines()
                .filter(|line| line.starts_with("-A "))
                .collect();
            texts.sort_unstable();
            lines.sort_unstable();
            assert_eq!(texts, lines);
            for place in found.values() {
                assert!(place.text.starts_with(&format!("-A {} ", place.chain)));
            }
        }
    }

    #[test]
    fn the_text_is_that_of_the_rule() {
        let table = &all()[2];
        let found = rules(table.family, &table.blob(), &table.saved).unwrap();
        let text = |offset: u64| found[&offset].text.as_str();
        assert_eq!(text(792), "-A OUTPUT -p udp -m udp --dport 2 -g alpha");
        assert_eq!(
            text(1752),
            "-A alpha -m string --string \"it was -A OUTPUT \" --algo bm -j DROP"
        );
        assert_eq!(text(3208), "-A zeta -m mark --mark 0x1/0xff -j ACCEPT");
        // The closing RETURN of a chain has no line.
        assert!(!found.contains_key(&3408));
    }

    #[test]
    fn arp_rules_have_their_chain() {
        let table = &all()[8];
        let found = rules(table.family, &table.blob(), &table.saved).unwrap();
        assert_eq!(
            found[&696].text,
            "-A OUTPUT -j mangle -d 10.0.0.2 --mangle-ip-s 10.0.0.3 "
        );
        assert_eq!(found[&1688].text, "-A odd -j ACCEPT --opcode 1 ");
    }

    #[test]
    fn twenty_thousand_rules() {
        const RULES: usize = 20_000;
        // The first chain of the captured table, with many copies of its first rule.
        let table = &all()[2];
        let (before, rule, after) = (
            &table.entries[..304],
            &table.entries[792..992],
            &table.entries[992..],
        );
        let entries = [before, &rule.repeat(RULES), after].concat();
        let found = places(
            table.family,
            &Blob {
                entries,
                starts: vec![0, 0, 152, 304, 0],
                policies: vec![0; 5],
                ..table.blob()
            },
        )
        .unwrap();
        assert_eq!(found[&304], ("OUTPUT".to_owned(), 1));
        let last = 304 + 200 * (RULES as u64 - 1);
        assert_eq!(found[&last], ("OUTPUT".to_owned(), RULES));
    }

    /// Changes bytes of a table at random: reading it fails or not, but does not panic, and ends.
    /// FUZZ_SECONDS: for how long.
    #[test]
    fn broken_tables_do_no_harm() {
        let seconds = std::env::var("FUZZ_SECONDS").map_or(1, |value| value.parse().unwrap());
        let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
        // xorshift
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |limit: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % limit as u64) as usize
        };
        let tables = all();
        while std::time::Instant::now() < end {
            let table = &tables[random(tables.len())];
            let mut entries = table.entries[..random(table.entries.len() + 1)].to_vec();
            let mut info = table.info.to_vec();
            for _ in 0..random(8) {
                let at = random(info.len());
                info[at] = random(256) as u8;
            }
            for _ in 0..random(16) {
                if !entries.is_empty() {
                    let at = random(entries.len());
                    entries[at] = random(256) as u8;
                }
            }
            let _ = rules(
                table.family,
                &Blob::new(table.family, &info, entries),
                &table.saved,
            );
        }
    }
}
