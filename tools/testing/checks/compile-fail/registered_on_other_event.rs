// SPDX-License-Identifier: GPL-2.0
//! A probe that is registered on a tracepoint for which it is not implemented.
// error[E0277]: the trait bound `Nothing: Probe<Ip6tVerdict>` is not satisfied

use kernel::{
    net::iptables::{
        Event,
        Ip6tVerdict,
        IptVerdict, //
    },
    prelude::*,
    tracepoint::{
        Probe,
        Registration, //
    }, //
};

struct Nothing;

impl Probe<IptVerdict> for Nothing {
    fn probe(&self, _event: Event<'_>) {}
}

pub fn register() -> Result<Pin<KBox<impl Sized>>> {
    KBox::pin_init(Registration::<Ip6tVerdict, _>::new(Nothing), GFP_KERNEL)
}
