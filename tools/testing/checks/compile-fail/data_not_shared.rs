// SPDX-License-Identifier: GPL-2.0
//! A probe whose data cannot be shared between CPUs.
// error[E0277]: `Cell<u64>` cannot be shared between threads safely

use core::cell::Cell;
use kernel::{
    net::iptables::{
        Event,
        IptVerdict, //
    },
    tracepoint::Probe, //
};

struct Packets(Cell<u64>);

impl Probe<IptVerdict> for Packets {
    fn probe(&self, _event: Event<'_>) {
        self.0.set(self.0.get() + 1);
    }
}
