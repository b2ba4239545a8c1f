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
        PerCpu, //
    },
    prelude::*,
    tracepoint::{
        Probe,
        Registration, //
    }, //
};

struct Packets(PerCpu<[u64; 2]>);

impl Probe<IptVerdict> for Packets {
    fn probe(&self, event: Event<'_>) {
        if let Some(skb) = event.skb {
            percpu::field!(self.0, [build: 1]).add(skb.len().into());
        }
    }
}

pub fn register() -> Result<Pin<KBox<impl Sized>>> {
    let packets = Packets(PerCpu::new_zeroed(GFP_KERNEL)?);
    KBox::pin_init(Registration::<IptVerdict, _>::new(packets), GFP_KERNEL)
}
