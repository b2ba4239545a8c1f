// SPDX-License-Identifier: GPL-2.0
//! A packet that is used although it may have been stolen.
// error[E0308]: mismatched types

use kernel::{
    net::{
        iptables::{
            Event,
            IptVerdict, //
        },
        SkBuff, //
    },
    percpu::{
        PerCpu,
        PerCpuPtr, //
    },
    tracepoint::Probe, //
};

fn bytes(skb: &SkBuff) -> u64 {
    skb.len().into()
}

struct Bytes;

impl Probe<IptVerdict> for Bytes {
    type Data = PerCpu<u64>;

    fn probe(counter: PerCpuPtr<'_, u64>, event: Event<'_>) {
        counter.this_cpu_add(bytes(event.skb));
    }
}
