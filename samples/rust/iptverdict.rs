// SPDX-License-Identifier: GPL-2.0

//! Counts the verdicts of iptables, ip6tables and arptables by table, chain and verdict, in per-CPU
//! counters.
//!
//! Probes on the tracepoints `ipt_verdict`, `ip6t_verdict` and `arpt_verdict` add to the counters.
//! The debugfs files `stats`, `percpu` and `reset` show and reset them, as described in
//! `Documentation/ABI/testing/debugfs-iptverdict`.
//!
//! # How to write a probe
//!
//! A tracepoint is a place in the kernel that calls the probes registered on it whenever it is hit.
//! To write a probe for any tracepoint, do as this module does:
//!
//! 1. Find the tracepoint in `include/trace/events/`. Its `TP_PROTO()` lists the arguments that a
//!    probe receives. If the `kernel` crate does not have the tracepoint yet, add it with
//!    [`define_tracepoint!`](kernel::tracepoint::define_tracepoint), which converts the pointers
//!    of C to safe types, as `rust/kernel/net/iptables.rs` does for this module. The compiler
//!    checks the arguments against the C prototype.
//! 2. Define a type for the data, here [`Counters`]. All CPUs share it and use it at the same
//!    time, so it must be [`Sync`]. [`PerCpu`] gives each CPU its own copy of a counter; adding to
//!    it is a single instruction, without a lock.
//! 3. Implement [`Probe`] for this type. Its method runs on each event, here for each packet. It
//!    must not sleep, and should be short.
//! 4. Create a [`Registration`] and keep it: the probe is called until the registration is
//!    dropped, here when the module is unloaded. The registration also gives access to the data.
//! 5. Show the data, here in debugfs files.
//!
//! `samples/rust/rust_drops.rs` does all of this for another tracepoint in a few lines.
//! `Documentation/rust/tracepoint-probes.rst` describes what a probe may do and when it is called.

use kernel::{
    debugfs::Scope,
    fmt,
    net::{
        iptables::{
            self,
            Event,
            TableKind, //
        },
        netfilter::{
            self,
            Action, //
        }, //
    },
    new_mutex,
    percpu::{
        self,
        PerCpu, //
    },
    prelude::*,
    sync::Mutex,
    tracepoint::{
        Probe,
        Registration,
        Tracepoint, //
    }, //
};

module! {
    type: IptVerdictModule,
    name: "iptverdict",
    authors: ["The iptverdict developers"],
    description: "Counts the verdicts of iptables",
    license: "GPL",
}

// Counters and probe.

/// Traffic with the same table, chain and verdict.
#[derive(Copy, Clone, Zeroable)]
struct Count {
    packets: u64,
    bytes: u64,
}

impl Count {
    fn zip(self, other: Self, f: fn(u64, u64) -> u64) -> Self {
        Self {
            packets: f(self.packets, other.packets),
            bytes: f(self.bytes, other.bytes),
        }
    }
}

/// The number of counters of a CPU. An index has three bits each for table, hook and action, so it
/// is computed by shifts alone.
const COUNTS: usize = 1 << 9;

fn index(table: TableKind, hook: u8, action: Action) -> usize {
    ((table as u32) << 6 | u32::from(hook & 7) << 3 | action as u32) as usize
}

/// The counters of all CPUs for the verdicts of one event.
struct Counters(PerCpu<[Count; COUNTS]>);

impl<T> Probe<T> for Counters
where
    T: for<'a> Tracepoint<Args<'a> = Event<'a>>,
{
    fn probe(&self, event: Event<'_>) {
        let (table, hook) = (event.table.kind(), event.state.number());
        let index = index(table, hook, event.verdict.action());

        percpu::field!(self.0, [build: index].packets).add(1);
        // A stolen packet may already be freed.
        if let Some(skb) = event.skb {
            percpu::field!(self.0, [build: index].bytes).add(skb.len().into());
        }
    }
}

impl Counters {
    /// Returns the count of `cpu` at `index` since the module was loaded.
    fn read(&self, cpu: percpu::PossibleCpu, index: usize) -> Count {
        Count {
            packets: percpu::field!(self.0, [build: index % COUNTS].packets).read(cpu),
            bytes: percpu::field!(self.0, [build: index % COUNTS].bytes).read(cpu),
        }
    }

    /// Returns the count of `cpu` at `index` since the snapshot `base`, which may be empty.
    fn since(&self, base: &[Count], cpu: percpu::PossibleCpu, index: usize) -> Count {
        let then = base.get(cpu.as_u32() as usize * COUNTS + index).copied();
        let then = then.unwrap_or(Count::zeroed());
        self.read(cpu, index).zip(then, u64::wrapping_sub)
    }

    /// Returns the counts of all CPUs: `COUNTS` values for each CPU number up to the last CPU.
    fn snapshot(&self) -> Result<KVVec<Count>> {
        let mut counts = KVVec::new();
        for cpu in percpu::possible_cpus() {
            counts.resize(cpu.as_u32() as usize * COUNTS, Count::zeroed(), GFP_KERNEL)?;
            for index in 0..COUNTS {
                counts.push(self.read(cpu, index), GFP_KERNEL)?;
            }
        }
        Ok(counts)
    }
}

// Registration.

#[pin_data]
struct Stats {
    #[pin]
    ipv4: Registration<iptables::IptVerdict, Counters>,
    #[cfg(CONFIG_IP6_NF_IPTABLES_LEGACY)]
    #[pin]
    ipv6: Registration<iptables::Ip6tVerdict, Counters>,
    #[cfg(CONFIG_IP_NF_ARPTABLES)]
    #[pin]
    arp: Registration<iptables::ArptVerdict, Counters>,

    /// The baseline: the counters of each family at the last reset, or empty before the first.
    ///
    /// A reset leaves the counters alone, because only their own CPU may write them.
    #[pin]
    base: Mutex<[KVVec<Count>; 3]>,
}

impl Stats {
    /// Registers the probes.
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            ipv4 <- Registration::new(Counters(PerCpu::new_zeroed(GFP_KERNEL)?)),
            #[cfg(CONFIG_IP6_NF_IPTABLES_LEGACY)]
            ipv6 <- Registration::new(Counters(PerCpu::new_zeroed(GFP_KERNEL)?)),
            #[cfg(CONFIG_IP_NF_ARPTABLES)]
            arp <- Registration::new(Counters(PerCpu::new_zeroed(GFP_KERNEL)?)),
            base <- new_mutex!([const { KVVec::new() }; 3]),
        })
    }

    /// Returns the name of each family, its chains by hook number, and its counters.
    fn families(&self) -> impl IntoIterator<Item = (&str, &[&str], &Counters)> {
        [
            ("ipv4", &netfilter::Hook::CHAINS[..], &*self.ipv4),
            #[cfg(CONFIG_IP6_NF_IPTABLES_LEGACY)]
            ("ipv6", &netfilter::Hook::CHAINS[..], &*self.ipv6),
            #[cfg(CONFIG_IP_NF_ARPTABLES)]
            ("arp", &netfilter::ArpHook::CHAINS[..], &*self.arp),
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
        let mut now = [const { KVVec::new() }; 3];
        for (number, (_, _, counters)) in self.families().into_iter().enumerate() {
            now[number] = counters.snapshot()?;
        }
        *base = now;
        Ok(())
    }
}

// Presentation.

impl Stats {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.base.lock();
        writeln!(f, "family table chain verdict packets bytes")?;
        for (number, (family, chains, counters)) in self.families().into_iter().enumerate() {
            lines(f, fmt!("{family}"), chains, |index| {
                percpu::possible_cpus().fold(Count::zeroed(), |sum, cpu| {
                    sum.zip(counters.since(&base[number], cpu, index), u64::wrapping_add)
                })
            })?;
        }
        Ok(())
    }

    fn show_percpu(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.base.lock();
        writeln!(f, "family cpu table chain verdict packets bytes")?;
        for (number, (family, chains, counters)) in self.families().into_iter().enumerate() {
            for cpu in percpu::possible_cpus() {
                lines(f, fmt!("{family} {}", cpu.as_u32()), chains, |index| {
                    counters.since(&base[number], cpu, index)
                })?;
            }
        }
        Ok(())
    }
}

/// Writes a line, starting with `prefix`, for each combination with a nonzero `count`.
fn lines(
    f: &mut fmt::Formatter<'_>,
    prefix: fmt::Arguments<'_>,
    chains: &[&str],
    count: impl Fn(usize) -> Count,
) -> fmt::Result {
    for table in TableKind::ALL {
        for (hook, chain) in (0..).zip(chains) {
            for action in Action::ALL {
                let Count { packets, bytes } = count(index(table, hook, action));
                if packets != 0 {
                    let (table, verdict) = (table.name(), action.name());
                    writeln!(f, "{prefix} {table} {chain} {verdict} {packets} {bytes}")?;
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
        let debugfs =
            Scope::dir_of::<crate::LocalModule, _, _>(Stats::new(), c"iptverdict", |stats, dir| {
                dir.read_callback_file(c"stats", stats, &Stats::show);
                dir.read_callback_file(c"percpu", stats, &Stats::show_percpu);
                dir.write_only_callback_file(c"reset", stats, &Stats::reset);
            });
        try_pin_init!(Self { _debugfs <- debugfs })
    }
}
