// SPDX-License-Identifier: GPL-2.0
//! A probe with borrowed data, which a leaked registration could outlive.
// error[E0477]: the type `Box<Packets<'a>, Kmalloc>` does not fulfill the required lifetime

use kernel::{
    net::iptables::{
        Event,
        IptVerdict, //
    },
    percpu::PerCpu,
    prelude::*,
    tracepoint::Probe, //
};

struct Packets<'a>(&'a PerCpu<u64>);

impl<'a> Probe<IptVerdict> for Packets<'a> {
    type Data = KBox<Self>;

    fn probe(this: &Self, _event: Event<'_>) {
        this.0.ptr().this_cpu_add(1);
    }
}
