// SPDX-License-Identifier: GPL-2.0
//! A rule that is kept after the call, when its ruleset may be freed.
// error[E0521]: borrowed data escapes outside of associated function

use kernel::{
    net::iptables::{
        Event,
        IptVerdict,
        Rule, //
    },
    tracepoint::Probe, //
};

struct Last;

fn keep(_: Rule<'static>) {}

impl Probe<IptVerdict> for Last {
    type Data = ();

    fn probe(_data: (), event: Event<'_>) {
        if let Some(rule) = event.rule {
            keep(rule);
        }
    }
}
