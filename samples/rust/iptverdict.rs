// SPDX-License-Identifier: GPL-2.0

//! Counts the verdicts of iptables, ip6tables and arptables, by table, chain and verdict, in
//! per-CPU counters.
//!
//! Probes on the tracepoints `ipt_verdict`, `ip6t_verdict` and `arpt_verdict` add to the counters;
//! three files in debugfs show and reset them: `stats`, `percpu` and `reset`, which
//! `Documentation/ABI/testing/debugfs-iptverdict` describes.

use core::marker::PhantomData;

use kernel::{
    cpu::nr_cpu_ids,
    debugfs::Scope,
    fmt,
    net::{
        iptables::{
            self,
            Event,
            Table, //
        },
        netfilter::{
            Action,
            ArpHook,
            Hook, //
        }, //
    },
    new_mutex,
    percpu::{
        self,
        PerCpu,
        PossibleCpu, //
    },
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    tracepoint::{
        Probe,
        Registration,
        Tracepoint, //
    },
    uaccess::UserSliceReader, //
};

module! {
    type: IptVerdictModule,
    name: "iptverdict",
    authors: ["The iptverdict developers"],
    description: "Counts the verdicts of iptables",
    license: "GPL",
}

// The counters.

/// The tables, in the order of the output.
const TABLES: [&str; 6] = ["raw", "mangle", "nat", "filter", "security", "other"];

/// The table whose name has `letter` in third place. No two of the kernel's five tables share the
/// three bits that are used, so that one look is enough, however many tables there are.
const fn table_slot(letter: u8) -> usize {
    (letter >> 1) as usize & 7
}

/// The slot of all tables that have none.
const OTHER: usize = 0;

/// The beginnings of the names, by slot.
const NAMES: [[u8; 9]; 8] = {
    let mut names = [[0; 9]; 8];
    let mut table = 0;
    while table < TABLES.len() - 1 {
        let name = TABLES[table].as_bytes();
        let slot = table_slot(name[2]);
        assert!(slot != OTHER && names[slot][0] == 0);
        let mut i = 0;
        while i < name.len() {
            names[slot][i] = name[i];
            i += 1;
        }
        table += 1;
    }
    names
};

/// Traffic that had the same verdict in the same chain of the same table.
#[derive(Copy, Clone, Zeroable)]
struct Count {
    packets: u64,
    bytes: u64,
}

/// Counts by table, hook and action: three bits each, so that finding one is shifts only.
const COUNTS: usize = 1 << 9;

const fn index(slot: usize, hook: u8, action: Action) -> usize {
    (slot & 7) << 6 | (hook as usize & 7) << 3 | (action as usize & 7)
}

/// The counters of one event.
struct Counters<T> {
    counts: PerCpu<[Count; COUNTS]>,
    event: PhantomData<T>,
}

fn slot(table: &Table) -> usize {
    let name = table.name();
    let slot = table_slot(name[2]);
    if name[..9] == NAMES[slot] {
        slot
    } else {
        OTHER
    }
}

impl<T> Probe for Counters<T>
where
    T: for<'a> Tracepoint<Args<'a> = Event<'a>> + Send + Sync + 'static,
{
    type Tracepoint = T;

    fn probe(&self, event: Event<'_>) {
        let index = index(
            slot(event.table),
            event.state.number(),
            event.verdict.action(),
        );

        percpu::field!(self.counts, [build: index].packets).add(1);
        // A stolen packet may be gone.
        if let Some(skb) = event.skb {
            percpu::field!(self.counts, [build: index].bytes).add(skb.len().into());
        }
    }
}

/// Counters of whatever event.
trait Counted: Send + Sync {
    /// Returns what `cpu` has counted at `index` since it was booted.
    fn read(&self, cpu: PossibleCpu, index: usize) -> Result<Count>;
}

impl<T: Send + Sync> Counted for Registration<Counters<T>>
where
    Counters<T>: Probe,
{
    fn read(&self, cpu: PossibleCpu, index: usize) -> Result<Count> {
        Ok(Count {
            packets: percpu::field!(self.counts, [try: index].packets).read(cpu),
            bytes: percpu::field!(self.counts, [try: index].bytes).read(cpu),
        })
    }
}

/// A family of tables, whose verdicts have an event of their own.
struct Family {
    name: &'static str,
    /// The built-in chains, by the number of the hook.
    chains: &'static [&'static str],
    counters: Arc<dyn Counted>,
}

impl Family {
    /// Starts to count the event `T`.
    fn new<T>(name: &'static str, chains: &'static [&'static str], _event: T) -> Result<Self>
    where
        T: for<'a> Tracepoint<Args<'a> = Event<'a>> + Send + Sync + 'static,
    {
        let counters = Counters::<T> {
            counts: PerCpu::new_zeroed(GFP_KERNEL)?,
            event: PhantomData,
        };
        Ok(Self {
            name,
            chains,
            counters: Arc::pin_init(Registration::new(counters), GFP_KERNEL)?,
        })
    }

    /// Starts to count all events that this kernel has.
    fn all() -> Result<KVec<Self>> {
        const IP: &[&str] = &[
            Hook::PreRouting.chain(),
            Hook::LocalIn.chain(),
            Hook::Forward.chain(),
            Hook::LocalOut.chain(),
            Hook::PostRouting.chain(),
        ];
        const ARP: &[&str] = &[
            ArpHook::In.chain(),
            ArpHook::Out.chain(),
            ArpHook::Forward.chain(),
        ];

        let mut families = KVec::new();
        #[cfg(CONFIG_IP_NF_IPTABLES_LEGACY)]
        families.push(Self::new("ipv4", IP, iptables::IptVerdict)?, GFP_KERNEL)?;
        #[cfg(CONFIG_IP6_NF_IPTABLES_LEGACY)]
        families.push(Self::new("ipv6", IP, iptables::Ip6tVerdict)?, GFP_KERNEL)?;
        #[cfg(CONFIG_IP_NF_ARPTABLES)]
        families.push(Self::new("arp", ARP, iptables::ArptVerdict)?, GFP_KERNEL)?;
        Ok(families)
    }
}

// The presentation.

#[pin_data]
struct Stats {
    families: KVec<Family>,

    /// What the counters were at the last reset; empty before the first.
    ///
    /// Counters are never set back, because only their own CPU may write them.
    #[pin]
    base: Mutex<KVVec<Count>>,
}

/// The place in `Stats::base` of the first counter of `cpu` for the `family`th family.
fn base_start(family: usize, cpu: PossibleCpu) -> usize {
    (family * nr_cpu_ids() as usize + cpu.as_u32() as usize) * COUNTS
}

impl Stats {
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            families: Family::all()?,
            base <- new_mutex!(KVVec::new()),
        })
    }

    /// Writes a line, after `prefix`, for each combination that `cpus` have seen since the last
    /// reset of the `number`th family.
    fn lines<I: Iterator<Item = PossibleCpu>>(
        &self,
        f: &mut fmt::Formatter<'_>,
        number: usize,
        prefix: fmt::Arguments<'_>,
        cpus: impl Fn() -> I,
    ) -> fmt::Result {
        let base = self.base.lock();
        let family = &self.families[number];
        for table in TABLES {
            let slot = match table {
                "other" => OTHER,
                name => table_slot(name.as_bytes()[2]),
            };
            for (hook, chain) in (0..).zip(family.chains) {
                for action in Action::ALL {
                    let index = index(slot, hook, action);
                    let mut sum = Count::zeroed();
                    for cpu in cpus() {
                        let now = family.counters.read(cpu, index).map_err(|_| fmt::Error)?;
                        let then = base.get(base_start(number, cpu) + index).copied();
                        let then = then.unwrap_or(Count::zeroed());
                        sum.packets = sum
                            .packets
                            .wrapping_add(now.packets.wrapping_sub(then.packets));
                        sum.bytes = sum.bytes.wrapping_add(now.bytes.wrapping_sub(then.bytes));
                    }
                    if sum.packets != 0 {
                        let (verdict, Count { packets, bytes }) = (action.name(), sum);
                        writeln!(f, "{prefix}{table} {chain} {verdict} {packets} {bytes}")?;
                    }
                }
            }
        }
        Ok(())
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "family table chain verdict packets bytes")?;
        for (number, family) in self.families.iter().enumerate() {
            self.lines(f, number, fmt!("{} ", family.name), percpu::possible_cpus)?;
        }
        Ok(())
    }

    fn show_percpu(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "family cpu table chain verdict packets bytes")?;
        for (number, family) in self.families.iter().enumerate() {
            for cpu in percpu::possible_cpus() {
                self.lines(f, number, fmt!("{} {} ", family.name, cpu.as_u32()), || {
                    core::iter::once(cpu)
                })?;
            }
        }
        Ok(())
    }

    /// Takes the counters as they are for the new zero, when `1` is written.
    fn reset(&self, reader: &mut UserSliceReader) -> Result {
        let mut buf = [0; 2];
        let len = reader.len();
        reader.read_slice(buf.get_mut(..len).ok_or(EINVAL)?)?;
        if !matches!(&buf[..len], b"1" | b"1\n") {
            return Err(EINVAL);
        }

        let mut base = self.base.lock();
        let mut now = KVVec::new();
        for (number, family) in self.families.iter().enumerate() {
            for cpu in percpu::possible_cpus() {
                now.resize(base_start(number, cpu), Count::zeroed(), GFP_KERNEL)?;
                for index in 0..COUNTS {
                    now.push(family.counters.read(cpu, index)?, GFP_KERNEL)?;
                }
            }
        }
        *base = now;
        Ok(())
    }
}

// The registration.

struct IptVerdictModule {
    _debugfs: Pin<KBox<Scope<Stats>>>,
}

impl kernel::Module for IptVerdictModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let debugfs =
            Scope::dir_of::<crate::LocalModule, _, _>(Stats::new(), c"iptverdict", |stats, dir| {
                dir.read_callback_file(c"stats", stats, &Stats::show);
                dir.read_callback_file(c"percpu", stats, &Stats::show_percpu);
                dir.write_only_callback_file(c"reset", stats, &Stats::reset);
            });
        Ok(Self {
            _debugfs: KBox::pin_init(debugfs, GFP_KERNEL)?,
        })
    }
}
