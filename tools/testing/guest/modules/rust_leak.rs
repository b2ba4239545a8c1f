// SPDX-License-Identifier: GPL-2.0

//! A module that leaks the registrations of its probes in every way that safe code has. It can be
//! unloaded all the same, so the kernel has to remove the probes; and only memory is lost.

use core::mem::{
    forget,
    ManuallyDrop,
    MaybeUninit, //
};
use kernel::{
    net::{
        iptables::{
            Event,
            IptVerdict, //
        },
        Dropped,
        KfreeSkb, //
    },
    percpu::PerCpu,
    prelude::*,
    tracepoint::{
        Probe,
        Registration, //
    },
    types::Opaque, //
};
use pin_init::Wrapper;

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

/// The probes use memory of two allocators: a box, and per-CPU memory that it refers to.
struct Packets(PerCpu<usize>);

impl Probe<IptVerdict> for Packets {
    type Data = KBox<Self>;

    fn probe(this: &Self, _event: Event<'_>) {
        this.0.ptr().this_cpu_add(1);
    }
}

impl Probe<KfreeSkb> for Packets {
    type Data = KBox<Self>;

    fn probe(this: &Self, _dropped: Dropped<'_>) {
        this.0.ptr().this_cpu_add(1);
    }
}

fn register() -> Result<Registration<IptVerdict, Packets>> {
    let packets = Packets(PerCpu::new_zeroed(GFP_KERNEL)?);
    Registration::new(KBox::new(packets, GFP_KERNEL)?)
}

struct Leak;

impl kernel::Module for Leak {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        forget(register()?);
        forget(KBox::new(register()?, GFP_KERNEL)?);

        // The memory of these is freed, but the registration in it is not dropped.
        drop(KBox::pin_init(Opaque::pin_init(register()?), GFP_KERNEL)?);
        drop(KBox::new(Opaque::new(register()?), GFP_KERNEL)?);
        drop(KBox::new(MaybeUninit::new(register()?), GFP_KERNEL)?);
        drop(KBox::new(ManuallyDrop::new(register()?), GFP_KERNEL)?);
        // Whoever still uses this memory will see garbage.
        for _ in 0..64 {
            forget(KBox::new(
                [0x5a_u8; size_of::<Registration<IptVerdict, Packets>>()],
                GFP_KERNEL,
            )?);
        }

        let packets = Packets(PerCpu::new_zeroed(GFP_KERNEL)?);
        forget(Registration::<KfreeSkb, Packets>::new(KBox::new(
            packets, GFP_KERNEL,
        )?)?);

        if module_parameters::fail.value() {
            return Err(EBUSY);
        }
        Ok(Self)
    }
}
