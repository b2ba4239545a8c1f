// SPDX-License-Identifier: GPL-2.0

//! What the BPF programs report.

use crate::{
    bpf::types,
    netns,
    sys::{self, Plain},
};

// SAFETY: These are structs of record.h, with integers and arrays of them only.
unsafe impl Plain for types::record {}
// SAFETY: As above.
unsafe impl Plain for types::decision {}
// SAFETY: As above.
unsafe impl Plain for types::details {}
// SAFETY: As above.
unsafe impl Plain for types::count {}
// SAFETY: As above.
unsafe impl Plain for types::source {}
// SAFETY: As above.
unsafe impl Plain for types::query {}

const PF_IPV4: u8 = 2;
pub const PF_ARP: u8 = 3;
const PF_NETDEV: u8 = 5;
const PF_IPV6: u8 = 10;

/// The tables of iptables.
pub const TABLES: [&str; 5] = ["raw", "mangle", "nat", "filter", "security"];
/// The protocol families of hooks.
pub const FAMILIES: [(u8, &str); 6] = [
    (PF_IPV4, "ipv4"),
    (PF_IPV6, "ipv6"),
    (PF_ARP, "arp"),
    (7, "bridge"),
    (PF_NETDEV, "netdev"),
    (1, "inet"),
];

const INET_HOOKS: [&str; 6] = [
    "PREROUTING",
    "INPUT",
    "FORWARD",
    "OUTPUT",
    "POSTROUTING",
    "INGRESS",
];
const ARP_HOOKS: [&str; 3] = ["INPUT", "OUTPUT", "FORWARD"];
const NETDEV_HOOKS: [&str; 2] = ["INGRESS", "EGRESS"];

pub const VERDICTS: [&str; 6] = ["DROP", "ACCEPT", "STOLEN", "QUEUE", "REPEAT", "STOP"];
/// The word for a verdict that is none of these.
pub const OTHER: &str = "OTHER";

/// Which event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Ipt,
    Ip6t,
    Arpt,
    Nft,
}

impl Kind {
    /// In the order of `enum event`.
    pub const ALL: [Self; 4] = [Self::Ipt, Self::Ip6t, Self::Arpt, Self::Nft];

    /// The family of the hooks of iptables, ip6tables or arptables.
    pub fn family(self) -> Option<(u8, &'static str)> {
        match self {
            Self::Ipt => Some(FAMILIES[0]),
            Self::Ip6t => Some(FAMILIES[1]),
            Self::Arpt => Some(FAMILIES[2]),
            Self::Nft => None,
        }
    }
}

/// The hooks of a protocol family, by their numbers.
pub fn hooks(pf: u8) -> &'static [&'static str] {
    match pf {
        PF_ARP => &ARP_HOOKS,
        PF_NETDEV => &NETDEV_HOOKS,
        _ => &INET_HOOKS,
    }
}

/// What decided on a packet, and how, by the numbers of the kernel.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Decision {
    pub kind: Kind,
    pub netns: netns::Id,
    /// The number of the ruleset; the handle of a table of nftables.
    pub ruleset: u64,
    /// The offset of the rule in the ruleset; its handle.
    pub rule: u64,
    pub policy: bool,
    pub replaced: bool,
    pub pf: u8,
    hook: u8,
    verdict: u8,
    table_family: u8,
    /// The address of the table, of iptables.
    pub object: u64,
    pub table: String,
    base_chain: String,
}

/// The text before the first NUL byte.
pub fn text(bytes: &[i8]) -> String {
    let bytes: Vec<u8> = bytes
        .iter()
        .take_while(|&&byte| byte != 0)
        .map(|&byte| byte as u8)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Decision {
    pub fn new(decision: &types::decision, details: &types::details) -> Self {
        Self {
            kind: *Kind::ALL
                .get(usize::from(decision.event))
                .unwrap_or(&Kind::Nft),
            netns: netns::Id {
                inode: details.netns,
                cookie: decision.netns_cookie,
            },
            ruleset: decision.ruleset,
            rule: decision.rule,
            policy: details.policy != 0,
            replaced: decision.replaced != 0,
            pf: details.pf,
            hook: decision.hook,
            verdict: decision.verdict,
            table_family: details.family,
            object: details.object,
            table: text(&details.table),
            base_chain: text(&details.chain),
        }
    }

    /// Reads a key and a value of the map `details`.
    pub fn from_bytes(key: &[u8], details: &[u8]) -> Option<Self> {
        Some(Self::new(
            &sys::read_plain(key)?,
            &sys::read_plain(details)?,
        ))
    }

    pub fn verdict(&self) -> &'static str {
        VERDICTS.get(usize::from(self.verdict)).unwrap_or(&OTHER)
    }

    /// The family of the table, as nft names it for nftables, and the module for iptables.
    pub fn family(&self) -> &'static str {
        match (self.kind, self.table_family) {
            (Kind::Ipt, _) => "ipv4",
            (Kind::Ip6t, _) => "ipv6",
            (Kind::Arpt, _) => "arp",
            (Kind::Nft, 1) => "inet",
            (Kind::Nft, 2) => "ip",
            (Kind::Nft, 3) => "arp",
            (Kind::Nft, 5) => "netdev",
            (Kind::Nft, 7) => "bridge",
            (Kind::Nft, 10) => "ip6",
            (Kind::Nft, _) => "unknown",
        }
    }

    pub fn hook(&self) -> &'static str {
        hooks(self.pf)
            .get(usize::from(self.hook))
            .unwrap_or(&"unknown")
    }

    /// The base chain: that of nftables has a name of its own.
    pub fn chain(&self) -> &str {
        if self.kind == Kind::Nft {
            &self.base_chain
        } else {
            self.hook()
        }
    }
}
