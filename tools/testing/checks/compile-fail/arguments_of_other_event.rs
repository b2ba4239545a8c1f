// SPDX-License-Identifier: GPL-2.0
//! A probe that takes the arguments of another event.
// error[E0053]: method `probe` has an incompatible type for trait

use kernel::{
    net::{
        iptables::IptVerdict,
        Dropped, //
    },
    tracepoint::Probe, //
};

struct Nothing;

impl Probe<IptVerdict> for Nothing {
    type Data = ();

    fn probe(_data: (), _dropped: Dropped<'_>) {}
}
