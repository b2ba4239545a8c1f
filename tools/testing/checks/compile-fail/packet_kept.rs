// SPDX-License-Identifier: GPL-2.0
//! A packet that is kept after the call.
// error[E0521]: borrowed data escapes outside of associated function

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
    type Data = ();

    fn probe(_data: (), event: Event<'_>) {
        if let Some(skb) = event.skb {
            keep(skb);
        }
    }
}
