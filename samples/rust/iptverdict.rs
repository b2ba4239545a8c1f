// SPDX-License-Identifier: GPL-2.0

//! Counts the verdicts of iptables, by table, chain and verdict, in per-CPU counters.
//!
//! A probe on the `ipt_verdict` tracepoint adds to the counters; three files in debugfs show and
//! reset them: `stats`, `percpu` and `reset`, which
//! `Documentation/ABI/testing/debugfs-iptverdict` describes.

use kernel::{
    debugfs::Scope,
    fmt,
    net::{
        iptables::{
            Event,
            IptVerdict,
            Table, //
        },
        netfilter::{
            Action,
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
    sync::Mutex,
    tracepoint::{
        Probe,
        Registration, //
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

const fn index(slot: usize, hook: Hook, action: Action) -> usize {
    (slot & 7) << 6 | (hook as usize & 7) << 3 | (action as usize & 7)
}

struct Counters(PerCpu<[Count; COUNTS]>);

impl Counters {
    fn slot(table: &Table) -> usize {
        let name = table.name();
        let slot = table_slot(name[2]);
        if name[..9] == NAMES[slot] {
            slot
        } else {
            OTHER
        }
    }

    /// Returns what `cpu` has counted at `index` since it was booted.
    fn read(&self, cpu: PossibleCpu, index: usize) -> Result<Count> {
        Ok(Count {
            packets: percpu::field!(self.0, [try: index].packets).read(cpu),
            bytes: percpu::field!(self.0, [try: index].bytes).read(cpu),
        })
    }
}

impl Probe for Counters {
    type Tracepoint = IptVerdict;

    fn probe(&self, event: Event<'_>) {
        let Some(hook) = event.state.hook() else {
            return;
        };
        let index = index(Self::slot(event.table), hook, event.verdict.action());

        percpu::field!(self.0, [build: index].packets).add(1);
        // A stolen packet may be gone.
        if let Some(skb) = event.skb {
            percpu::field!(self.0, [build: index].bytes).add(skb.len().into());
        }
    }
}

// The presentation.

#[pin_data]
struct Stats {
    #[pin]
    counters: Registration<Counters>,

    /// What the counters were at the last reset, for each CPU; empty before the first.
    ///
    /// Counters are never set back, because only their own CPU may write them.
    #[pin]
    base: Mutex<KVVec<Count>>,
}

impl Stats {
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            counters <- Registration::new(Counters(PerCpu::new_zeroed(GFP_KERNEL)?)),
            base <- new_mutex!(KVVec::new()),
        })
    }

    /// Returns what `cpu` has counted at `index` since the last reset.
    fn read(&self, base: &[Count], cpu: PossibleCpu, index: usize) -> Result<Count> {
        let now = self.counters.read(cpu, index)?;
        let base = base.get(cpu.as_u32() as usize * COUNTS + index);
        let base = base.copied().unwrap_or(Count::zeroed());
        Ok(Count {
            packets: now.packets.wrapping_sub(base.packets),
            bytes: now.bytes.wrapping_sub(base.bytes),
        })
    }

    /// Writes a line, after `prefix`, for each combination that `cpus` have seen.
    fn lines<I: Iterator<Item = PossibleCpu>>(
        &self,
        f: &mut fmt::Formatter<'_>,
        prefix: fmt::Arguments<'_>,
        cpus: impl Fn() -> I,
    ) -> fmt::Result {
        let base = self.base.lock();
        for table in TABLES {
            let slot = match table {
                "other" => OTHER,
                name => table_slot(name.as_bytes()[2]),
            };
            for hook in Hook::ALL {
                for action in Action::ALL {
                    let mut sum = Count::zeroed();
                    for cpu in cpus() {
                        let count = self
                            .read(&base, cpu, index(slot, hook, action))
                            .map_err(|_| fmt::Error)?;
                        sum.packets = sum.packets.wrapping_add(count.packets);
                        sum.bytes = sum.bytes.wrapping_add(count.bytes);
                    }
                    if sum.packets != 0 {
                        let (chain, verdict) = (hook.chain(), action.name());
                        let Count { packets, bytes } = sum;
                        writeln!(f, "{prefix}{table} {chain} {verdict} {packets} {bytes}")?;
                    }
                }
            }
        }
        Ok(())
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table chain verdict packets bytes")?;
        self.lines(f, fmt!(""), percpu::possible_cpus)
    }

    fn show_percpu(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cpu table chain verdict packets bytes")?;
        for cpu in percpu::possible_cpus() {
            self.lines(f, fmt!("{} ", cpu.as_u32()), || core::iter::once(cpu))?;
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
        for cpu in percpu::possible_cpus() {
            now.resize(cpu.as_u32() as usize * COUNTS, Count::zeroed(), GFP_KERNEL)?;
            for index in 0..COUNTS {
                now.push(self.counters.read(cpu, index)?, GFP_KERNEL)?;
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
