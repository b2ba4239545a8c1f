// SPDX-License-Identifier: GPL-2.0

//! Counts the verdicts of iptables, ip6tables and arptables, by table, chain and verdict, in
//! per-CPU counters.
//!
//! Probes on the tracepoints `ipt_verdict`, `ip6t_verdict` and `arpt_verdict` add to the counters;
//! three files in debugfs show and reset them: `stats`, `percpu` and `reset`, which
//! `Documentation/ABI/testing/debugfs-iptverdict` describes.
//!
//! # How to write a probe
//!
//! The kernel is full of tracepoints: places where it calls whoever wants to know that something
//! has happened. To follow this module to any of them:
//!
//! 1. Find the tracepoint: `include/trace/events/` has them, and `TP_PROTO()` says what a probe is
//!    told. If the `kernel` crate does not know it yet, add it there with
//!    [`define_tracepoint!`](kernel::tracepoint::define_tracepoint), which turns the pointers of
//!    C into types that are safe to use: `rust/kernel/net/iptables.rs` does it for this module.
//!    The compiler compares the arguments with those of C.
//! 2. Say what you want to remember: a type, here [`Counters`]. It is shared by all CPUs, all at
//!    once, so it has to be [`Sync`]. [`PerCpu`] gives each CPU its own copy of a number, and
//!    adding to it is a single instruction, with no lock.
//! 3. Say what is to be done when it happens: implement [`Probe`] for the type. This is the code
//!    that runs for each packet. It may not sleep, and it should be short.
//! 4. Create a [`Registration`] of it, and keep it: the probe is called until the registration is
//!    dropped, here when the module is unloaded. Through it, you reach what was remembered.
//! 5. Show it, here by files in debugfs.
//!
//! `samples/rust/rust_drops.rs` does all this for another tracepoint, on one page.
//! `Documentation/rust/tracepoint-probes.rst` says what a probe may do, and when it is called.

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

// Counting.

/// Traffic that had the same verdict in the same chain of the same table.
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

/// The counters of a CPU: three bits each for table, hook and action, so that finding one takes
/// shifts only, however many tables there are.
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
        // A stolen packet may be gone.
        if let Some(skb) = event.skb {
            percpu::field!(self.0, [build: index].bytes).add(skb.len().into());
        }
    }
}

impl Counters {
    /// Returns what `cpu` has counted at `index` since the module was loaded.
    fn read(&self, cpu: percpu::PossibleCpu, index: usize) -> Count {
        Count {
            packets: percpu::field!(self.0, [build: index % COUNTS].packets).read(cpu),
            bytes: percpu::field!(self.0, [build: index % COUNTS].bytes).read(cpu),
        }
    }

    /// Returns what `cpu` has counted at `index` since `base`, a snapshot, or nothing.
    fn since(&self, base: &[Count], cpu: percpu::PossibleCpu, index: usize) -> Count {
        let then = base.get(cpu.as_u32() as usize * COUNTS + index).copied();
        let then = then.unwrap_or(Count::zeroed());
        self.read(cpu, index).zip(then, u64::wrapping_sub)
    }

    /// Returns what all CPUs have counted, `COUNTS` values for each number that a CPU may have.
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

    /// What the counters of each family were at the last reset; empty before the first.
    ///
    /// Counters are never set back, because only their own CPU may write them.
    #[pin]
    base: Mutex<[KVVec<Count>; 3]>,
}

impl Stats {
    /// Starts to count.
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

    /// Returns the name, the chains by the number of the hook, and the counters of each family.
    fn families(&self) -> impl IntoIterator<Item = (&str, &[&str], &Counters)> {
        [
            ("ipv4", &netfilter::Hook::CHAINS[..], &*self.ipv4),
            #[cfg(CONFIG_IP6_NF_IPTABLES_LEGACY)]
            ("ipv6", &netfilter::Hook::CHAINS[..], &*self.ipv6),
            #[cfg(CONFIG_IP_NF_ARPTABLES)]
            ("arp", &netfilter::ArpHook::CHAINS[..], &*self.arp),
        ]
    }

    /// Takes the counters as they are for the new zero, when `1` is written.
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

/// Writes a line, after `prefix`, for each combination of which there is a `count`.
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
