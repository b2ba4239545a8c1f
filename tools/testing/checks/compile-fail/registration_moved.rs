// SPDX-License-Identifier: GPL-2.0
//! A registration that is moved while the tracepoint holds its address.
// error[E0277]: `PhantomPinned` cannot be unpinned

use kernel::{
    net::iptables::{
        Event,
        IptVerdict, //
    },
    prelude::*,
    tracepoint::{
        Probe,
        Registration, //
    }, //
};

pub struct Nothing;

impl Probe<IptVerdict> for Nothing {
    fn probe(&self, _event: Event<'_>) {}
}

pub fn take(
    registration: Pin<KBox<Registration<IptVerdict, Nothing>>>,
) -> KBox<Registration<IptVerdict, Nothing>> {
    Pin::into_inner(registration)
}
