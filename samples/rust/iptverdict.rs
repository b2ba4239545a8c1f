// SPDX-License-Identifier: GPL-2.0

//! Counts the verdicts of iptables, ip6tables, arptables and nftables by table, chain and verdict,
//! in per-CPU counters.
//!
//! Probes on the tracepoints `ipt_verdict`, `ip6t_verdict`, `arpt_verdict` and `nft_verdict` add to
//! the counters. The debugfs files `stats`, `percpu` and `reset` show and reset them, as described
//! in `Documentation/ABI/testing/debugfs-iptverdict`.
//!
//! # How to write a probe
//!
//! A tracepoint is a place in the kernel that calls the probes registered on it whenever it is hit.
//! To write a probe for any tracepoint, do as this module does:
//!
//! 1. Find the tracepoint in `include/trace/events/`. Its `TP_PROTO()` lists the arguments that a
//!    probe receives. If the `kernel` crate does not have the tracepoint yet, add it with
//!    [`impl_tracepoint!`](kernel::tracepoint::impl_tracepoint), which converts the pointers of C
//!    to safe types, as `rust/kernel/net/iptables.rs` does for this module. The compiler checks
//!    the arguments against the C prototype.
//! 2. Choose the data, here [`Counts`]. All CPUs share it and use it at the same time. A
//!    [`percpu::PerCpu`] gives each CPU its own copy; adding to a counter in it is a single
//!    instruction, without a lock. Other data is in a [`KBox`] or an `Arc`, and must be [`Sync`].
//! 3. Implement [`tracepoint::Probe`] for a type, here [`CountBy`]. Its function runs on each
//!    event, here for each packet. It must not sleep, and should be short.
//! 4. Create a [`tracepoint::Registration`] and keep it: the probe is called until the registration
//!    is dropped, here when the module is unloaded. The registration also gives access to the data.
//! 5. Show the data, here in debugfs files.
//!
//! `samples/rust/rust_drops.rs` does all of this for another tracepoint in a few lines.
//! `Documentation/rust/tracepoint-probes.rst` describes what a probe may do and when it is called.

use core::marker::PhantomData;
use kernel::{
    debugfs::Scope,
    fmt,
    net::{
        iptables,
        netfilter::{
            Action,
            Family, //
        },
        nftables,
        SkBuff, //
    },
    new_mutex,
    percpu,
    prelude::*,
    sync::Mutex,
    tracepoint, //
};

module! {
    type: IptVerdictModule,
    name: "iptverdict",
    authors: ["The iptverdict developers"],
    description: "Counts the verdicts of iptables and nftables",
    license: "GPL",
}

// Counters and probes.

/// Traffic with the same table, chain and verdict.
#[derive(Copy, Clone, Default, Zeroable)]
struct Count {
    packets: u64,
    bytes: u64,
}

/// The number of counters of a CPU for one event. An index has three bits each for slot, hook and
/// action, so it is computed by shifts alone. The slot is that of the table, or of the family.
const COUNTS: usize = 1 << 9;

fn index(slot: u8, hook: u8, action: Action) -> usize {
    (u32::from(slot & 7) << 6 | u32::from(hook & 7) << 3 | action as u32) as usize
}

/// The counters of a CPU for the verdicts of one event.
type Counts = [Count; COUNTS];

/// The counters of all CPUs.
type CountsPtr<'a> = percpu::PerCpuPtr<'a, Counts>;

fn count(counts: CountsPtr<'_>, index: usize, skb: Option<&SkBuff>) {
    // A stolen packet adds no bytes: it may already be freed.
    let bytes = skb.map_or(0, SkBuff::len);

    percpu::project!(counts, [build: index % COUNTS].packets).this_cpu_add(1);
    percpu::project!(counts, [build: index % COUNTS].bytes).this_cpu_add(bytes.into());
}

/// Counts each verdict of an event by `K`: those of iptables, ip6tables and arptables by table,
/// those of nftables by the family of the packet, for all tables together.
struct CountBy<K>(PhantomData<K>);

impl<T> tracepoint::Probe<T> for CountBy<iptables::TableKind>
where
    T: for<'a> tracepoint::Tracepoint<Args<'a> = iptables::Event<'a>>,
{
    type Data = percpu::PerCpu<Counts>;

    fn probe(counts: CountsPtr<'_>, event: iptables::Event<'_>) {
        let (slot, hook) = (event.table.kind().slot(), event.state.number());
        count(counts, index(slot, hook, event.verdict.action()), event.skb);
    }
}

impl tracepoint::Probe<nftables::NftVerdict> for CountBy<Family> {
    type Data = percpu::PerCpu<Counts>;

    fn probe(counts: CountsPtr<'_>, event: nftables::Event<'_>) {
        let (slot, hook) = (event.state.family_slot(), event.state.number());
        count(counts, index(slot, hook, event.verdict.action()), event.skb);
    }
}

/// Returns the count of `cpu` at `index` since the module was loaded.
fn read(counts: CountsPtr<'_>, cpu: percpu::PossibleCpu, index: usize) -> Count {
    Count {
        packets: percpu::project!(counts, [build: index % COUNTS].packets).read(cpu),
        bytes: percpu::project!(counts, [build: index % COUNTS].bytes).read(cpu),
    }
}

/// The counters of an event at the last reset, `COUNTS` of them for each CPU number up to the last
/// CPU; empty before the first reset.
type Baseline = KVVec<Count>;

fn baseline(counts: CountsPtr<'_>) -> Result<Baseline> {
    let mut base = KVVec::new();
    for cpu in percpu::possible_cpus() {
        base.resize(cpu.as_u32() as usize * COUNTS, Count::default(), GFP_KERNEL)?;
        for index in 0..COUNTS {
            base.push(read(counts, cpu, index), GFP_KERNEL)?;
        }
    }
    Ok(base)
}

// Registration.

/// The family, the table and the slot of each row of an event.
type Rows = [(Family, &'static str, u8); 6];

#[pin_data]
struct Stats {
    #[cfg(CONFIG_IP_NF_IPTABLES_LEGACY)]
    ipv4: tracepoint::Registration<iptables::IptVerdict, CountBy<iptables::TableKind>>,
    #[cfg(CONFIG_IP6_NF_IPTABLES_LEGACY)]
    ipv6: tracepoint::Registration<iptables::Ip6tVerdict, CountBy<iptables::TableKind>>,
    #[cfg(CONFIG_IP_NF_ARPTABLES)]
    arp: tracepoint::Registration<iptables::ArptVerdict, CountBy<iptables::TableKind>>,
    #[cfg(CONFIG_NF_TABLES)]
    nft: tracepoint::Registration<nftables::NftVerdict, CountBy<Family>>,

    /// The baseline of each event. A reset leaves the counters alone, because only their own CPU
    /// may write them.
    #[pin]
    base: Mutex<[Baseline; 4]>,
}

impl Stats {
    /// Registers the probes.
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            #[cfg(CONFIG_IP_NF_IPTABLES_LEGACY)]
            ipv4: tracepoint::Registration::new(percpu::PerCpu::new_zeroed(GFP_KERNEL)?)?,
            #[cfg(CONFIG_IP6_NF_IPTABLES_LEGACY)]
            ipv6: tracepoint::Registration::new(percpu::PerCpu::new_zeroed(GFP_KERNEL)?)?,
            #[cfg(CONFIG_IP_NF_ARPTABLES)]
            arp: tracepoint::Registration::new(percpu::PerCpu::new_zeroed(GFP_KERNEL)?)?,
            #[cfg(CONFIG_NF_TABLES)]
            nft: tracepoint::Registration::new(percpu::PerCpu::new_zeroed(GFP_KERNEL)?)?,
            base <- new_mutex!([const { KVVec::new() }; 4]),
        })
    }

    /// Returns the rows and the counters of each event.
    #[allow(unused, reason = "a kernel may have iptables or nftables only")]
    fn events(&self) -> impl IntoIterator<Item = (Rows, CountsPtr<'_>)> {
        let tables = |f: Family| iptables::TableKind::ALL.map(|t| (f, t.name(), t.slot()));
        let families = Family::ALL.map(|f| (f, "nftables", f.slot()));
        [
            #[cfg(CONFIG_IP_NF_IPTABLES_LEGACY)]
            (tables(Family::Ipv4), self.ipv4.data()),
            #[cfg(CONFIG_IP6_NF_IPTABLES_LEGACY)]
            (tables(Family::Ipv6), self.ipv6.data()),
            #[cfg(CONFIG_IP_NF_ARPTABLES)]
            (tables(Family::Arp), self.arp.data()),
            #[cfg(CONFIG_NF_TABLES)]
            (families, self.nft.data()),
        ]
    }

    /// Writing `1` makes the current counts the new baseline.
    fn reset(&self, reader: &mut kernel::uaccess::UserSliceReader) -> Result {
        let mut buf = [0; 2];
        let len = reader.len();
        reader.read_slice(buf.get_mut(..len).ok_or(EINVAL)?)?;
        if !matches!(&buf[..len], b"1" | b"1\n") {
            return Err(EINVAL);
        }

        let mut base = self.base.lock();
        let mut now = [const { KVVec::new() }; 4];
        for (now, (_, counts)) in now.iter_mut().zip(self.events()) {
            *now = baseline(counts)?;
        }
        *base = now;
        Ok(())
    }
}

// Presentation.

impl Stats {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "family table chain verdict packets bytes")?;
        for (base, (rows, counts)) in self.base.lock().iter().zip(self.events()) {
            lines(f, fmt!(""), rows, base, counts, percpu::possible_cpus())?;
        }
        Ok(())
    }

    fn show_percpu(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "family cpu table chain verdict packets bytes")?;
        for (base, (rows, counts)) in self.base.lock().iter().zip(self.events()) {
            for cpu in percpu::possible_cpus() {
                lines(f, fmt!(" {}", cpu.as_u32()), rows, base, counts, [cpu])?;
            }
        }
        Ok(())
    }
}

/// Writes a line for each row and verdict that `cpus` have counted since the last reset. `column`
/// follows the family.
fn lines(
    f: &mut fmt::Formatter<'_>,
    column: fmt::Arguments<'_>,
    rows: Rows,
    base: &Baseline,
    counts: CountsPtr<'_>,
    cpus: impl IntoIterator<Item = percpu::PossibleCpu> + Clone,
) -> fmt::Result {
    for (family, table, slot) in rows {
        for (hook, chain) in (0..).zip(family.chains()) {
            for action in Action::ALL {
                let index = index(slot, hook, action);
                let (mut packets, mut bytes) = (0u64, 0u64);
                for cpu in cpus.clone() {
                    let then = base.get(cpu.as_u32() as usize * COUNTS + index);
                    let then = then.copied().unwrap_or_default();
                    let now = read(counts, cpu, index);
                    packets = packets.wrapping_add(now.packets.wrapping_sub(then.packets));
                    bytes = bytes.wrapping_add(now.bytes.wrapping_sub(then.bytes));
                }
                if packets != 0 {
                    write!(f, "{}{column} {table} {chain} ", family.name())?;
                    writeln!(f, "{} {packets} {bytes}", action.name())?;
                }
            }
        }
    }
    Ok(())
}

// The module.

#[pin_data]
struct IptVerdictModule {
    #[pin]
    _debugfs: Scope<Stats>,
}

impl kernel::InPlaceModule for IptVerdictModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let debugfs = Scope::dir::<LocalModule, _, _>(Stats::new(), c"iptverdict", |stats, dir| {
            dir.read_callback_file(c"stats", stats, &Stats::show);
            dir.read_callback_file(c"percpu", stats, &Stats::show_percpu);
            dir.write_only_callback_file(c"reset", stats, &Stats::reset);
        });
        try_pin_init!(Self { _debugfs <- debugfs })
    }
}
