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
//!    [`impl_tracepoint!`](kernel::tracepoint::impl_tracepoint), which converts the pointers of C
//!    to safe types, as `rust/kernel/net/iptables.rs` does for this module. The compiler checks
//!    the arguments against the C prototype.
//! 2. Choose the data, here [`Counts`]. All CPUs share it and use it at the same time.
//!    [`PerCpu`] gives each CPU its own copy; adding to a counter in it is a single instruction,
//!    without a lock. Other data is in a [`KBox`] or an `Arc`, and must be [`Sync`].
//! 3. Implement [`Probe`] for a type, here [`CountVerdict`]. Its function runs on each event, here
//!    for each packet. It must not sleep, and should be short.
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
        },
        SkBuff, //
    },
    new_mutex,
    percpu::{
        self,
        PerCpu,
        PerCpuPtr, //
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
    ((table as u32) << 5 | u32::from(hook & 7) << 3 | action as u32) as usize
}

/// The counters of a CPU for the verdicts of one event.
type Counts = [Count; COUNTS];

/// Counts each verdict of an event.
struct CountVerdict;

impl<T> Probe<T> for CountVerdict
where
    T: for<'a> Tracepoint<Args<'a> = Event<'a>>,
{
    type Data = PerCpu<Counts>;

    fn probe(counts: PerCpuPtr<'_, Counts>, event: Event<'_>) {
        let (table, hook) = (event.table.kind(), event.state.number());
        let index = index(table, hook, event.verdict.action());
        // A stolen packet adds no bytes: it may already be freed.
        let bytes = event.skb.map_or(0, SkBuff::len);

        percpu::project!(counts, [build: index].packets).this_cpu_add(1);
        percpu::project!(counts, [build: index].bytes).this_cpu_add(bytes.into());
    }
}

/// Returns the count of `cpu` at `index` since the module was loaded.
fn read(counts: PerCpuPtr<'_, Counts>, cpu: percpu::PossibleCpu, index: usize) -> Count {
    Count {
        packets: percpu::project!(counts, [build: index % COUNTS].packets).read(cpu),
        bytes: percpu::project!(counts, [build: index % COUNTS].bytes).read(cpu),
    }
}

/// Returns the count of `cpu` at `index` since the snapshot `base`, which may be empty.
fn since(
    base: &[Count],
    counts: PerCpuPtr<'_, Counts>,
    cpu: percpu::PossibleCpu,
    index: usize,
) -> Count {
    let then = base.get(cpu.as_u32() as usize * COUNTS + index).copied();
    let then = then.unwrap_or(Count::zeroed());
    read(counts, cpu, index).zip(then, u64::wrapping_sub)
}

/// Returns the counts of all CPUs: `COUNTS` values for each CPU number up to the last CPU.
fn snapshot(counts: PerCpuPtr<'_, Counts>) -> Result<KVVec<Count>> {
    let mut snapshot = KVVec::new();
    for cpu in percpu::possible_cpus() {
        snapshot.resize(cpu.as_u32() as usize * COUNTS, Count::zeroed(), GFP_KERNEL)?;
        for index in 0..COUNTS {
            snapshot.push(read(counts, cpu, index), GFP_KERNEL)?;
        }
    }
    Ok(snapshot)
}

// Registration.

#[pin_data]
struct Stats {
    ipv4: Registration<iptables::IptVerdict, CountVerdict>,
    #[cfg(CONFIG_IP6_NF_IPTABLES_LEGACY)]
    ipv6: Registration<iptables::Ip6tVerdict, CountVerdict>,
    #[cfg(CONFIG_IP_NF_ARPTABLES)]
    arp: Registration<iptables::ArptVerdict, CountVerdict>,

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
            ipv4: Registration::new(PerCpu::new_zeroed(GFP_KERNEL)?)?,
            #[cfg(CONFIG_IP6_NF_IPTABLES_LEGACY)]
            ipv6: Registration::new(PerCpu::new_zeroed(GFP_KERNEL)?)?,
            #[cfg(CONFIG_IP_NF_ARPTABLES)]
            arp: Registration::new(PerCpu::new_zeroed(GFP_KERNEL)?)?,
            base <- new_mutex!([const { KVVec::new() }; 3]),
        })
    }

    /// Returns the name of each family, its chains by hook number, and its counters.
    fn families(&self) -> impl IntoIterator<Item = (&str, &[&str], PerCpuPtr<'_, Counts>)> {
        [
            ("ipv4", &netfilter::Hook::CHAINS[..], self.ipv4.data()),
            #[cfg(CONFIG_IP6_NF_IPTABLES_LEGACY)]
            ("ipv6", &netfilter::Hook::CHAINS[..], self.ipv6.data()),
            #[cfg(CONFIG_IP_NF_ARPTABLES)]
            ("arp", &netfilter::ArpHook::CHAINS[..], self.arp.data()),
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
        for (number, (_, _, counts)) in self.families().into_iter().enumerate() {
            now[number] = snapshot(counts)?;
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
        for (number, (family, chains, counts)) in self.families().into_iter().enumerate() {
            lines(f, fmt!("{family}"), chains, |index| {
                percpu::possible_cpus().fold(Count::zeroed(), |sum, cpu| {
                    sum.zip(since(&base[number], counts, cpu, index), u64::wrapping_add)
                })
            })?;
        }
        Ok(())
    }

    fn show_percpu(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.base.lock();
        writeln!(f, "family cpu table chain verdict packets bytes")?;
        for (number, (family, chains, counts)) in self.families().into_iter().enumerate() {
            for cpu in percpu::possible_cpus() {
                lines(f, fmt!("{family} {}", cpu.as_u32()), chains, |index| {
                    since(&base[number], counts, cpu, index)
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
        let debugfs = Scope::dir::<LocalModule, _, _>(Stats::new(), c"iptverdict", |stats, dir| {
            dir.read_callback_file(c"stats", stats, &Stats::show);
            dir.read_callback_file(c"percpu", stats, &Stats::show_percpu);
            dir.write_only_callback_file(c"reset", stats, &Stats::reset);
        });
        try_pin_init!(Self { _debugfs <- debugfs })
    }
}
