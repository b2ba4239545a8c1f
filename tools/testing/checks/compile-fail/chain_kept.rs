// SPDX-License-Identifier: GPL-2.0
//! A chain of nftables that is kept in the data of the probe.
// error: lifetime may not live long enough

use kernel::{
    net::nftables::{
        Chain,
        Event,
        NftVerdict, //
    },
    prelude::*,
    sync::SetOnce,
    tracepoint::Probe, //
};

struct First(SetOnce<ChainRef>);

struct ChainRef(&'static Chain);

// SAFETY: Not sound; this case is about the lifetime below.
unsafe impl Send for ChainRef {}
// SAFETY: As above.
unsafe impl Sync for ChainRef {}

impl Probe<NftVerdict> for First {
    type Data = KBox<Self>;

    fn probe<'a>(this: &Self, event: Event<'a>) {
        let chain: &'a Chain = event.chain;
        this.0.populate(ChainRef(chain));
    }
}
