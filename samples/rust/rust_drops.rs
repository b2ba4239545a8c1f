// SPDX-License-Identifier: GPL-2.0

//! Counts dropped packets by reason with a probe on the tracepoint `kfree_skb`, and shows the
//! counts in `/sys/kernel/debug/rust_drops/drops`.
//!
//! This is a minimal example; `iptverdict.rs` explains how to write a probe.

use kernel::{
    debugfs::Scope,
    fmt,
    net::{
        DropReason,
        Dropped,
        KfreeSkb, //
    },
    percpu::{
        self,
        PerCpu,
        PerCpuPtr, //
    },
    prelude::*,
    tracepoint::{
        Probe,
        Registration, //
    }, //
};

module! {
    type: RustDrops,
    name: "rust_drops",
    authors: ["The iptverdict developers"],
    description: "Counts dropped packets by reason",
    license: "GPL",
}

const REASONS: usize = DropReason::CORE_MAX as usize;

/// Packets by reason. Index 0, which is not a reason, counts the reasons of other subsystems.
type Counts = [usize; REASONS];

struct Drops;

impl Probe<KfreeSkb> for Drops {
    type Data = PerCpu<Counts>;

    fn probe(counts: PerCpuPtr<'_, Counts>, dropped: Dropped<'_>) {
        let reason = dropped.reason.as_raw() as usize;
        let reason = if reason < REASONS { reason } else { 0 };
        percpu::project!(counts, [build: reason]).this_cpu_add(1);
    }
}

type Registered = Registration<KfreeSkb, Drops>;

fn show(drops: &Registered, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let counts = drops.data();
    for reason in 0..REASONS {
        let packets = percpu::project!(counts, [build: reason]).sum();
        if packets != 0 {
            let reason = DropReason::from_raw(reason as u32);
            writeln!(f, "{} {packets}", reason.name())?;
        }
    }
    Ok(())
}

#[pin_data]
struct RustDrops {
    #[pin]
    _debugfs: Scope<Registered>,
}

impl kernel::InPlaceModule for RustDrops {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _debugfs <- Scope::dir::<LocalModule, _, _>(
                Registered::new(PerCpu::new_zeroed(GFP_KERNEL)?)?,
                c"rust_drops",
                |drops, dir| dir.read_callback_file(c"drops", drops, &show),
            ),
        })
    }
}
