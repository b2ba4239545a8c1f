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
        self,
        PerCpu, //
    },
    tracepoint::Probe, //
};

fn bytes(skb: &SkBuff) -> u64 {
    skb.len().into()
}

struct Bytes(PerCpu<u64>);

impl Probe<IptVerdict> for Bytes {
    fn probe(&self, event: Event<'_>) {
        percpu::field!(self.0).add(bytes(event.skb));
    }
}
