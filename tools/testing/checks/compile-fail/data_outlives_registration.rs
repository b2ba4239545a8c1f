// SPDX-License-Identifier: GPL-2.0
//! The data of a probe, used after the registration that owns it was dropped.
// error[E0505]: cannot move out of `registration` because it is borrowed

use kernel::{
    net::iptables::{
        Event,
        IptVerdict, //
    },
    percpu::{
        PerCpu,
        PerCpuPtr, //
    },
    prelude::*,
    tracepoint::{
        Probe,
        Registration, //
    }, //
};

struct Packets;

impl Probe<IptVerdict> for Packets {
    type Data = PerCpu<u64>;

    fn probe(packets: PerCpuPtr<'_, u64>, _event: Event<'_>) {
        packets.this_cpu_add(1);
    }
}

pub fn count() -> Result<u64> {
    let registration = Registration::<IptVerdict, Packets>::new(PerCpu::new_zeroed(GFP_KERNEL)?)?;
    let packets = registration.data();
    drop(registration);
    Ok(packets.sum())
}
