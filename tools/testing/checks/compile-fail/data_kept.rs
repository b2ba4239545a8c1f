// SPDX-License-Identifier: GPL-2.0
//! A per-CPU pointer that a probe keeps, and that could outlive the data.
// error[E0521]: borrowed data escapes outside of associated function

use kernel::{
    net::iptables::{
        Event,
        IptVerdict, //
    },
    percpu::{
        PerCpu,
        PerCpuPtr, //
    },
    tracepoint::Probe, //
};

struct Packets;

fn keep(_: PerCpuPtr<'static, u64>) {}

impl Probe<IptVerdict> for Packets {
    type Data = PerCpu<u64>;

    fn probe(packets: PerCpuPtr<'_, u64>, _event: Event<'_>) {
        keep(packets);
    }
}
