// SPDX-License-Identifier: GPL-2.0
//! A probe that takes what another event tells.
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
    fn probe(&self, _dropped: Dropped<'_>) {}
}
