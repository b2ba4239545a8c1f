// SPDX-License-Identifier: GPL-2.0

//! Loads the BPF programs and attaches them to the events.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    fs, io,
    mem::{self, MaybeUninit},
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

use anyhow::{anyhow, bail, Context, Result};
use libbpf_rs::{
    skel::{OpenSkel, Skel, SkelBuilder},
    ErrorKind, Link, MapCore, MapFlags, ProgramInput, RingBufferBuilder,
};

use crate::{
    event::{self, Decision, Kind},
    sys::{self, plain_bytes, read_plain},
};

mod skeleton {
    #![allow(clippy::all, dead_code, missing_docs)]
    include!(concat!(env!("OUT_DIR"), "/iptverdict.skel.rs"));
}
pub use skeleton::types;

/// What the programs do with a packet that passes the filter.
#[derive(Clone, Copy)]
pub enum Mode {
    Watch,
    Count,
    CountSources,
    CountTotals,
}

/// An event, and the module that has it.
pub struct Event {
    pub name: &'static str,
    pub module: &'static str,
}

pub const EVENTS: [Event; 4] = [
    Event {
        name: "ipt_verdict",
        module: "ip_tables",
    },
    Event {
        name: "ip6t_verdict",
        module: "ip6_tables",
    },
    Event {
        name: "arpt_verdict",
        module: "arp_tables",
    },
    Event {
        name: "nft_verdict",
        module: "nf_tables",
    },
];

/// Whether an event can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    Present,
    /// The module is loaded, without the event.
    Missing,
    /// The module is loaded, and has no type information.
    NoBtf,
    NotLoaded,
}

fn contains(path: &str, text: &str) -> Option<bool> {
    let bytes = fs::read(path).ok()?;
    Some(
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes()),
    )
}

impl Event {
    /// Looks for the event in the types of the kernel and its modules.
    pub fn presence(&self) -> Presence {
        let kind = format!("\0btf_trace_{}\0", self.name);
        let module = format!("/sys/kernel/btf/{}", self.module);
        if contains(&module, &kind) == Some(true) {
            return Presence::Present;
        }
        if Path::new("/sys/module").join(self.module).exists() {
            let missing = Path::new(&module).exists() || built_in(&kind) == Some(false);
            return if missing {
                Presence::Missing
            } else {
                Presence::NoBtf
            };
        }
        match built_in(&kind) {
            Some(true) => Presence::Present,
            _ => Presence::NotLoaded,
        }
    }

    /// Whether it is there, in words.
    pub fn describe(&self, presence: Presence) -> String {
        match presence {
            Presence::Present => "present".to_owned(),
            Presence::Missing => format!("missing: {} is loaded without it", self.module),
            Presence::NoBtf => format!("unknown: the kernel has no BTF of {}", self.module),
            Presence::NotLoaded => format!("not there: {} is not loaded", self.module),
        }
    }
}

fn built_in(kind: &str) -> Option<bool> {
    contains("/sys/kernel/btf/vmlinux", kind)
}

/// A count of packets and bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// The count of a verdict, by what the module counts it by.
#[derive(Debug)]
pub struct Total {
    /// That of the packet.
    pub family: &'static str,
    /// `nftables` for all tables of nftables.
    pub table: &'static str,
    pub hook: &'static str,
    pub verdict: &'static str,
    pub count: Count,
}

impl From<types::count> for Count {
    fn from(count: types::count) -> Self {
        Self {
            packets: count.packets,
            bytes: count.bytes,
        }
    }
}

/// The programs, attached until this is dropped.
pub struct Programs {
    skeleton: skeleton::IptverdictSkel<'static>,
    links: RefCell<Vec<Link>>,
    /// Which events this kernel has, in the order of `EVENTS`.
    present: Vec<bool>,
}

/// What a process needs if it is not root.
pub const CAPABILITIES: &str = "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN";

fn not_permitted() -> anyhow::Error {
    anyhow!("not permitted: run it as root, or with {CAPABILITIES}")
}

/// One line for an error of libbpf.
fn explain(error: libbpf_rs::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::PermissionDenied => not_permitted(),
        _ => anyhow!("cannot load the BPF programs: {error}"),
    }
}

impl Programs {
    /// Loads the programs and attaches them to all events that this kernel has.
    pub fn attach(mode: Mode, filter: types::filter) -> Result<Self> {
        let presences: Vec<Presence> = EVENTS.iter().map(Event::presence).collect();
        let present: Vec<bool> = presences
            .iter()
            .map(|presence| *presence == Presence::Present)
            .collect();
        if !present.contains(&true) {
            bail!("{}", crate::doctor::conclusion());
        }
        if !sys::is_root() && !can_load() {
            return Err(not_permitted());
        }
        libbpf_rs::set_print(None);
        // Used until the process ends.
        let storage = Box::leak(Box::new(MaybeUninit::uninit()));
        let mut open = skeleton::IptverdictSkelBuilder::default()
            .open(storage)
            .map_err(explain)?;
        let settings = open
            .maps
            .rodata_data
            .as_deref_mut()
            .context("no settings")?;
        settings.mode = mode as u32;
        settings.filter = filter;
        settings.tables = event::TABLES.map(first_word);
        settings.families = event::FAMILIES.map(|(pf, _)| pf);
        open.progs.ipt_verdict.set_autoload(present[0]);
        open.progs.ip6t_verdict.set_autoload(present[1]);
        open.progs.arpt_verdict.set_autoload(present[2]);
        open.progs.nft_verdict.set_autoload(present[3]);
        if !matches!(mode, Mode::CountTotals) {
            open.maps.totals.set_max_entries(1)?;
        }
        // It reads types of x_tables.
        open.progs
            .current_ruleset
            .set_autoload(present[..3].contains(&true));
        let mut skeleton = open.load().map_err(explain)?;
        skeleton.attach().map_err(explain)?;
        for (event, presence) in EVENTS.iter().zip(presences) {
            if matches!(presence, Presence::Missing | Presence::NoBtf) {
                eprintln!("iptverdict: {}: {}", event.name, event.describe(presence));
            }
        }
        let links = &mut skeleton.links;
        let links = [
            links.ipt_verdict.take(),
            links.ip6t_verdict.take(),
            links.arpt_verdict.take(),
            links.nft_verdict.take(),
        ];
        Ok(Self {
            skeleton,
            links: RefCell::new(links.into_iter().flatten().collect()),
            present,
        })
    }

    /// Packets that passed the filter, but found no space to be reported or counted, and those
    /// that the programs missed because they ran already.
    pub fn lost(&self) -> Result<u64> {
        let mut lost = self.missed()?;
        for event in 0..self.skeleton.maps.lost.max_entries() {
            let counts = self
                .skeleton
                .maps
                .lost
                .lookup_percpu(&event.to_ne_bytes(), MapFlags::ANY)?
                .unwrap_or_default();
            lost += counts
                .iter()
                .filter_map(|count| read_plain_u64(count))
                .sum::<u64>();
        }
        Ok(lost)
    }

    /// Says what was not counted, if anything was.
    pub fn warn_of_lost(&self) -> Result<()> {
        let lost = self.lost()?;
        if lost > 0 {
            eprintln!("iptverdict: {lost} packets were not counted");
        }
        Ok(())
    }

    /// The kernel does not run a program on a CPU where it runs: a softirq may interrupt it.
    fn missed(&self) -> io::Result<u64> {
        let programs = &self.skeleton.progs;
        let programs = [
            &programs.ipt_verdict,
            &programs.ip6t_verdict,
            &programs.arpt_verdict,
            &programs.nft_verdict,
        ];
        let loaded = programs.iter().zip(&self.present);
        loaded
            .filter(|(_, present)| **present)
            .map(|(program, _)| {
                let fd = program.as_fd().as_raw_fd();
                let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}"))?;
                let missed = info
                    .lines()
                    .find_map(|line| line.strip_prefix("recursion_misses:"))
                    .and_then(|missed| missed.trim().parse::<u64>().ok());
                Ok(missed.unwrap_or(0))
            })
            .sum()
    }

    /// Calls `each` for each record, until `stop` returns true; then detaches the programs, and
    /// calls it for the records that are left.
    pub fn records(
        &self,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
        stop: impl Fn() -> bool,
    ) -> Result<()> {
        let stopped = Cell::new(false);
        let mut failed = None;
        let mut builder = RingBufferBuilder::new();
        builder.add(&self.skeleton.maps.records, |bytes| match each(bytes) {
            // Records may arrive faster than they are handled.
            Ok(()) if !stopped.get() && stop() => {
                stopped.set(true);
                -1
            }
            Ok(()) => 0,
            Err(error) => {
                failed = Some(error);
                -1
            }
        })?;
        let ring = builder.build()?;
        let mut result = Ok(());
        while result.is_ok() && !stop() {
            result = match ring.poll(std::time::Duration::from_millis(100)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
                Err(_) if stopped.get() => Ok(()),
                other => other,
            };
        }
        if result.is_ok() {
            stopped.set(true);
            self.links.borrow_mut().clear();
            result = ring.consume();
        }
        drop(ring);
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(result?),
        }
    }

    /// Which ruleset the table of iptables at this address has now.
    pub fn current_ruleset(&self, object: u64) -> Result<u64> {
        let mut query = types::query {
            table: object,
            ruleset: 0,
        };
        let input = ProgramInput {
            context_in: Some(plain_bytes(&mut query)),
            ..Default::default()
        };
        self.skeleton.progs.current_ruleset.test_run(input)?;
        Ok(query.ruleset)
    }

    /// The counts of all decisions, with their keys.
    pub fn decisions(&self) -> Vec<(Vec<u8>, Decision, Count)> {
        let maps = &self.skeleton.maps;
        let mut sums: HashMap<Vec<u8>, Count> = counts(&maps.decisions).collect();
        let indices = (0..maps.places.max_entries()).map(u32::to_ne_bytes);
        let places =
            indices.filter_map(|index| maps.places.lookup_percpu(&index, MapFlags::ANY).ok()?);
        for place in places.flatten() {
            let (key, count) = place.split_at(mem::size_of::<types::decision>());
            let count = read_plain::<types::count>(count).map_or(Count::default(), Count::from);
            if count.packets > 0 {
                *sums.entry(key.to_vec()).or_default() += count;
            }
        }
        sums.into_iter()
            .filter_map(|(key, count)| {
                let details = maps.details.lookup(&key, MapFlags::ANY).ok()??;
                let decision = Decision::from_bytes(&key, &details)?;
                Some((key, decision, count))
            })
            .collect()
    }

    /// The decisions that are not in `known`, which gets their keys.
    pub fn new_decisions(&self, known: &mut HashSet<Vec<u8>>) -> Vec<Decision> {
        let details = &self.skeleton.maps.details;
        details
            .keys()
            .filter(|key| known.insert(key.clone()))
            .filter_map(|key| {
                let value = details.lookup(&key, MapFlags::ANY).ok()??;
                Decision::from_bytes(&key, &value)
            })
            .collect()
    }

    /// The counts by family, table, hook and verdict, in this order, of those that have occurred.
    pub fn totals(&self) -> Result<Vec<Total>> {
        let map = &self.skeleton.maps.totals;
        let mut totals = Vec::new();
        let events = (0..).zip(Kind::ALL).zip(&self.present);
        for ((event, kind), _) in events.filter(|(_, present)| **present) {
            let first = event * (map.max_entries() / Kind::ALL.len() as u32);
            for (slot, (pf, family, table)) in (0..).zip(rows(kind)) {
                for (hook, hook_name) in (0..).zip(event::hooks(pf)) {
                    let verdicts = event::VERDICTS.into_iter().chain([event::OTHER]);
                    for (action, verdict) in (0..).zip(verdicts) {
                        let at: u32 = first + ((slot << 6) | (hook << 3) | action);
                        let count = sum(map, &at.to_ne_bytes())?;
                        if count.packets > 0 {
                            totals.push(Total {
                                family,
                                table,
                                hook: hook_name,
                                verdict,
                                count,
                            });
                        }
                    }
                }
            }
        }
        Ok(totals)
    }

    /// The counts of all source addresses, with their keys.
    pub fn sources(&self) -> Vec<(Vec<u8>, types::source, Count)> {
        counts(&self.skeleton.maps.sources)
            .filter_map(|(key, count)| {
                let source = read_plain(&key)?;
                Some((key, source, count))
            })
            .collect()
    }
}

fn read_plain_u64(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?))
}

/// The first characters of a name, as a word of the kernel.
fn first_word(name: &str) -> u64 {
    let mut word = [0; 8];
    word[..name.len()].copy_from_slice(name.as_bytes());
    u64::from_ne_bytes(word)
}

/// The family, its name and the table of each slot of the totals of an event.
fn rows(kind: Kind) -> Vec<(u8, &'static str, &'static str)> {
    match kind.family() {
        Some((pf, family)) => {
            let tables = event::TABLES.into_iter().chain(["other"]);
            tables.map(|table| (pf, family, table)).collect()
        }
        None => {
            let families = event::FAMILIES.into_iter().chain([(0, "other")]);
            families
                .map(|(pf, family)| (pf, family, "nftables"))
                .collect()
        }
    }
}

/// The sum of a value of a map over all CPUs.
fn sum(map: &impl MapCore, key: &[u8]) -> Result<Count> {
    let mut sum = Count::default();
    for value in map.lookup_percpu(key, MapFlags::ANY)?.unwrap_or_default() {
        let count = read_plain::<types::count>(&value).context("a short value in a map")?;
        sum += count.into();
    }
    Ok(sum)
}

/// The keys of a map, and the sums of their values over all CPUs.
fn counts(map: &impl MapCore) -> impl Iterator<Item = (Vec<u8>, Count)> + '_ {
    map.keys().filter_map(|key| {
        let sum = sum(map, &key).ok()?;
        Some((key, sum))
    })
}

/// Whether this process has the capabilities that loading needs.
fn can_load() -> bool {
    const CAP_NET_ADMIN: u64 = 1 << 12;
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    const CAP_PERFMON: u64 = 1 << 38;
    const CAP_BPF: u64 = 1 << 39;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|value| u64::from_str_radix(value.trim(), 16).ok())
        .unwrap_or(0);
    let all = |wanted: u64| effective & wanted == wanted;
    all(CAP_SYS_ADMIN) || all(CAP_BPF | CAP_PERFMON | CAP_NET_ADMIN)
}
