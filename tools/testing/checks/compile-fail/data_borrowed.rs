// SPDX-License-Identifier: GPL-2.0
//! A probe with borrowed data, which a leaked registration could outlive.
// error[E0478]: lifetime bound not satisfied

use kernel::{
    net::iptables::{
        Event,
        IptVerdict, //
    },
    percpu::{
        self,
        PerCpu, //
    },
    tracepoint::Probe, //
};

struct Packets<'a>(&'a PerCpu<u64>);

impl<'a> Probe<IptVerdict> for Packets<'a> {
    fn probe(&self, _event: Event<'_>) {
        percpu::field!(*self.0).add(1);
    }
}
