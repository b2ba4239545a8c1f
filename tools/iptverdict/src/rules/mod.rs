// SPDX-License-Identifier: GPL-2.0

//! From the number of a rule to the rule: right, or unknown with the reason.

mod nftables;
mod xtables;

pub const IPV4_HOOKS: &[&str] = xtables::IPV4.hooks;
pub const ARP_HOOKS: &[&str] = xtables::ARP.hooks;

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    event::{self, Decision},
    netns,
};

/// So many rulesets are kept.
const SNAPSHOTS: usize = 64;
/// So many rules of a table of nftables are kept, also if they were deleted.
const KEPT: usize = 100_000;
/// What could not be read is tried again after this time: a table of nftables keeps its handle.
const RETRY: Duration = Duration::from_secs(30);

/// Where a rule is, and how iptables-save or nft prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub chain: String,
    /// From 1 on.
    pub number: usize,
    pub text: String,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decider {
    /// The policy of the base chain.
    Policy,
    Rule(Place),
    /// Why the rule is not known.
    Unknown(String),
}

/// A ruleset that the kernel numbers, or a table of nftables.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Ruleset {
    netns: netns::Id,
    kind: event::Kind,
    number: u64,
}

/// Its rules, by offset or handle, with `None` for one that was deleted before it could be read;
/// or why there are none, and since when.
type Snapshot = Result<HashMap<u64, Option<Place>>, (String, Instant)>;

/// Looks up rules. Keeps the rulesets that it has read.
#[derive(Default)]
pub struct Resolver {
    snapshots: HashMap<Ruleset, Snapshot>,
    /// The oldest first.
    order: VecDeque<Ruleset>,
}

impl Resolver {
    /// Looks up what decided. `current` returns which ruleset a table of iptables has now, by its
    /// address in the kernel.
    ///
    /// This runs the save programs when a ruleset is new, which takes milliseconds.
    pub fn decider(
        &mut self,
        decision: &Decision,
        current: impl FnOnce(u64) -> Result<u64>,
    ) -> Decider {
        if decision.policy {
            return Decider::Policy;
        }
        if decision.replaced {
            return Decider::Unknown("the ruleset was replaced while it decided".to_owned());
        }
        let ruleset = Ruleset {
            netns: decision.netns,
            kind: decision.kind,
            number: decision.ruleset,
        };
        let nft = decision.kind == event::Kind::Nft;
        let stale = match self.snapshots.get(&ruleset) {
            None => true,
            // Rules may have been added to the table.
            Some(Ok(rules)) => nft && !rules.contains_key(&decision.rule),
            Some(Err((_, since))) => since.elapsed() > RETRY,
        };
        if stale {
            let snapshot =
                take(decision, current).map_err(|error| (format!("{error:#}"), Instant::now()));
            self.keep(ruleset, snapshot);
        }
        let rules = match self.snapshots.get_mut(&ruleset) {
            Some(Ok(rules)) => rules,
            Some(Err((reason, _))) => return Decider::Unknown(reason.clone()),
            None => return Decider::Unknown("no memory for its ruleset".to_owned()),
        };
        match rules.entry(decision.rule).or_default() {
            Some(place) => Decider::Rule(place.clone()),
            None if nft => {
                Decider::Unknown("nft does not list the rule: it may have been deleted".to_owned())
            }
            None => Decider::Unknown("the save program does not print the rule".to_owned()),
        }
    }

    fn keep(&mut self, ruleset: Ruleset, mut snapshot: Snapshot) {
        match (self.snapshots.remove(&ruleset), &mut snapshot) {
            (None, _) => self.order.push_back(ruleset),
            // Handles are not used again, so what was read stays right.
            (Some(Ok(old)), Ok(rules)) if old.len() < KEPT => {
                for (handle, place) in old {
                    rules.entry(handle).or_insert(place);
                }
            }
            (Some(Ok(old)), Err(_)) => snapshot = Ok(old),
            _ => (),
        }
        self.snapshots.insert(ruleset, snapshot);
        if self.order.len() > SNAPSHOTS {
            if let Some(oldest) = self.order.pop_front() {
                self.snapshots.remove(&oldest);
            }
        }
    }
}

/// Reads the ruleset that decided, in its network namespace.
fn take(
    decision: &Decision,
    current: impl FnOnce(u64) -> Result<u64>,
) -> Result<HashMap<u64, Option<Place>>> {
    let table = decision.table.as_str();
    let family = match decision.kind {
        event::Kind::Ipt => &xtables::IPV4,
        event::Kind::Ip6t => &xtables::IPV6,
        event::Kind::Arpt => &xtables::ARP,
        event::Kind::Nft => {
            let rules = netns::run(decision.netns, || {
                nftables::snapshot(decision.ruleset, decision.family(), table)
            })?;
            return Ok(optional(rules));
        }
    };
    let rules = netns::run(decision.netns, || xtables::snapshot(family, table))?;
    // The event named the ruleset before it was read; if the table still has it, it is what was
    // read: the kernel uses no number again.
    if current(decision.object)? != decision.ruleset {
        anyhow::bail!("the ruleset was replaced before it could be read");
    }
    Ok(optional(rules))
}

fn optional(rules: HashMap<u64, Place>) -> HashMap<u64, Option<Place>> {
    rules
        .into_iter()
        .map(|(key, place)| (key, Some(place)))
        .collect()
}
