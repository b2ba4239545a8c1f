// SPDX-License-Identifier: GPL-2.0
//! A probe that is registered on a tracepoint for which it is not implemented.
// error[E0599]: the function or associated item `new` exists for struct `Registration<Ip6tVerdict, Nothing>`, but its trait bounds were not satisfied

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
    type Data = ();

    fn probe(_data: (), _event: Event<'_>) {}
}

pub fn register() -> Result<impl Sized> {
    Registration::<Ip6tVerdict, Nothing>::new(())
}
