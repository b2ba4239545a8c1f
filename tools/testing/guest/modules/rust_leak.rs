// SPDX-License-Identifier: GPL-2.0

//! A module that leaks the registrations of its probes, which safe code may do. It can be unloaded
//! all the same, so the kernel has to remove the probes.

use core::mem::forget;
use kernel::{
    net::{
        iptables::{
            Event,
            IptVerdict, //
        },
        Dropped,
        KfreeSkb, //
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

module! {
    type: Leak,
    name: "rust_leak",
    authors: ["The iptverdict developers"],
    description: "Leaks the registrations of its probes",
    license: "GPL",
    params: {
        fail: bool {
            default: false,
            description: "Whether to fail once all probes are registered",
        },
    },
}

struct Packets(PerCpu<u64>);

impl Probe<IptVerdict> for Packets {
    fn probe(&self, _event: Event<'_>) {
        percpu::field!(self.0).add(1);
    }
}

impl Probe<KfreeSkb> for Packets {
    fn probe(&self, _dropped: Dropped<'_>) {
        percpu::field!(self.0).add(1);
    }
}

struct Leak;

impl kernel::Module for Leak {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let new = || -> Result<Packets> { Ok(Packets(PerCpu::new_zeroed(GFP_KERNEL)?)) };

        for _ in 0..2 {
            forget(KBox::pin_init(
                Registration::<IptVerdict, _>::new(new()?),
                GFP_KERNEL,
            )?);
        }
        forget(KBox::pin_init(
            Registration::<KfreeSkb, _>::new(new()?),
            GFP_KERNEL,
        )?);

        if module_parameters::fail.value() {
            return Err(EBUSY);
        }
        Ok(Self)
    }
}
