// SPDX-License-Identifier: GPL-2.0

//! A verdict as watch prints it: a line of text, or an object of JSON.

use std::fmt::Write;

use jiff::{tz::TimeZone, Timestamp};
use serde::Serialize;

use crate::{
    bpf::types,
    event::{self, Decision},
    packet::{self, Packet},
    rules::Decider,
};

const CTSTATES: [&str; 8] = [
    "ESTABLISHED",
    "RELATED",
    "NEW",
    "ESTABLISHED_REPLY",
    "RELATED_REPLY",
    "5",
    "6",
    "UNTRACKED",
];
/// Below this, a line has only what nearly everybody wants to know.
const WIDE: u16 = 140;

#[derive(Serialize)]
pub struct Netns<'a> {
    pub name: &'a str,
    pub inode: u32,
    pub cookie: u64,
}

#[derive(Serialize, PartialEq, Eq, Hash, Clone, PartialOrd, Ord)]
pub struct Rule {
    pub chain: String,
    pub number: usize,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<u64>,
}

/// Names and comments may have control characters, which must not reach a terminal.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// What decided: exactly one of these.
#[derive(Serialize, PartialEq, Eq, Hash, Clone, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum By {
    Policy,
    Rule(Rule),
    Unknown(String),
}

impl By {
    pub fn new(decision: &Decision, decider: Decider) -> Self {
        match decider {
            Decider::Policy => Self::Policy,
            Decider::Unknown(reason) => Self::Unknown(reason),
            Decider::Rule(place) => Self::Rule(Rule {
                chain: place.chain,
                number: place.number,
                text: place.text,
                handle: (decision.kind == event::Kind::Nft).then_some(decision.rule),
            }),
        }
    }

    /// In words. The text of nftables does not have the chain.
    pub fn text(&self) -> String {
        match self {
            Self::Policy => "policy".to_owned(),
            Self::Rule(rule) => match rule.handle {
                Some(_) if !rule.text.starts_with("-A ") => {
                    format!("{}:{}: {}", rule.chain, rule.number, rule.text)
                }
                _ => format!("#{} {}", rule.number, rule.text),
            },
            Self::Unknown(reason) => format!("unknown: {reason}"),
        }
    }
}

/// A verdict. Documentation/command.md has the schema of its JSON.
#[derive(Serialize)]
pub struct Line<'a> {
    /// RFC 3339, in UTC, with microseconds.
    time: String,
    netns: Netns<'a>,
    family: &'static str,
    table: &'a str,
    chain: &'a str,
    hook: &'static str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bypass: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<u16>,
    by: By,
    r#in: String,
    out: String,
    mark: u32,
    ctstate: &'static str,
    len: u32,
    /// A stolen packet is gone.
    packet: Option<Packet>,
    #[serde(skip)]
    at: Timestamp,
}

impl<'a> Line<'a> {
    pub fn new(
        record: &types::record,
        decision: &'a Decision,
        decider: Decider,
        netns: &'a str,
        at: Timestamp,
    ) -> Self {
        let verdict = decision.verdict();
        let detail = |wanted| (verdict == wanted).then_some(record.detail);
        let bytes = &record.packet[..usize::from(record.captured).min(record.packet.len())];
        let packet = (verdict != "STOLEN").then(|| {
            let mut packet = Packet::parse(record.protocol, bytes);
            if record.has_mac != 0 && packet.source_mac.is_none() {
                packet.source_mac = Some(packet::mac(&record.mac[6..12]));
            }
            packet
        });
        Self {
            time: format!("{at:.6}"),
            netns: Netns {
                name: netns,
                inode: decision.netns.inode,
                cookie: decision.netns.cookie,
            },
            family: decision.family(),
            table: &decision.table,
            chain: decision.chain(),
            hook: decision.hook(),
            verdict,
            queue: detail("QUEUE"),
            bypass: (verdict == "QUEUE").then_some(record.bypass != 0),
            errno: detail("DROP").filter(|errno| *errno != 0),
            by: By::new(decision, decider),
            r#in: event::text(&record.r#in),
            out: event::text(&record.out),
            mark: record.mark,
            ctstate: CTSTATES.get(usize::from(record.ctstate)).unwrap_or(&"NONE"),
            len: record.len,
            packet,
            at,
        }
    }

    /// The line for a terminal of this width, or with everything.
    pub fn text(&self, width: Option<u16>, color: bool) -> String {
        let (on, off) = match (color, self.verdict) {
            (false, _) => ("", ""),
            (true, "DROP") => ("\x1b[31m", "\x1b[0m"),
            (true, "ACCEPT") => ("\x1b[32m", "\x1b[0m"),
            (true, _) => ("\x1b[33m", "\x1b[0m"),
        };
        let wide = width.is_none_or(|width| width >= WIDE);
        let at = self.at.to_zoned(TimeZone::system());
        let time = if wide { "%H:%M:%S%.6f" } else { "%H:%M:%S" };
        let mut line = format!(
            "{} {on}{}{off} {} {} {} {}",
            at.strftime(time),
            self.verdict,
            printable(self.netns.name),
            self.family,
            printable(self.table),
            printable(self.chain),
        );
        // Writing to a String does not fail.
        let _ = match &self.packet {
            Some(packet) => write!(line, " {packet}"),
            None => write!(line, " (stolen packet)"),
        };
        if wide {
            let device = |name: &str| printable(if name.is_empty() { "-" } else { name });
            let _ = write!(line, " {}>{}", device(&self.r#in), device(&self.out));
            let _ = write!(
                line,
                " mark 0x{:x} {} len {}",
                self.mark, self.ctstate, self.len
            );
            if let Some(mac) = self.packet.as_ref().and_then(|p| p.source_mac.as_ref()) {
                let _ = write!(line, " mac {mac}");
            }
        }
        if let Some(queue) = self.queue {
            let bypass = if self.bypass == Some(true) {
                " bypass"
            } else {
                ""
            };
            let _ = write!(line, " queue {queue}{bypass}");
        }
        if let Some(errno) = self.errno {
            let _ = write!(line, " errno {errno}");
        }
        let _ = write!(line, " | {}", printable(&self.by.text()));
        line
    }
}
