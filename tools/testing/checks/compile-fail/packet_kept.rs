// SPDX-License-Identifier: GPL-2.0
//! A packet that is kept after the call.
// error[E0521]: borrowed data escapes outside of method

use kernel::{
    net::{
        iptables::{
            Event,
            IptVerdict, //
        },
        SkBuff, //
    },
    tracepoint::Probe, //
};

struct Last;

fn keep(_: &'static SkBuff) {}

impl Probe<IptVerdict> for Last {
    fn probe(&self, event: Event<'_>) {
        if let Some(skb) = event.skb {
            keep(skb);
        }
    }
}
