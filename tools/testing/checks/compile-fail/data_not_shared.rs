// SPDX-License-Identifier: GPL-2.0
//! A probe whose data cannot be shared between CPUs.
// error[E0277]: `Cell<u64>` cannot be shared between threads safely

use core::cell::Cell;
use kernel::{
    net::iptables::{
        Event,
        IptVerdict, //
    },
    prelude::*,
    tracepoint::Probe, //
};

struct Packets;

impl Probe<IptVerdict> for Packets {
    type Data = KBox<Cell<u64>>;

    fn probe(packets: &Cell<u64>, _event: Event<'_>) {
        packets.set(packets.get() + 1);
    }
}
