// SPDX-License-Identifier: GPL-2.0
//! Valid code in the form of the other cases. It must compile, so that a build error is not taken
//! for a rejection.

use kernel::{
    net::iptables::{
        Event,
        IptVerdict, //
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

struct Bytes;

impl Probe<IptVerdict> for Bytes {
    type Data = PerCpu<[u64; 2]>;

    fn probe(bytes: PerCpuPtr<'_, [u64; 2]>, event: Event<'_>) {
        if let Some(skb) = event.skb {
            percpu::project!(bytes, [build: 1]).this_cpu_add(skb.len().into());
        }
    }
}

pub fn register() -> Result<impl Sized> {
    Registration::<IptVerdict, Bytes>::new(PerCpu::new_zeroed(GFP_KERNEL)?)
}
