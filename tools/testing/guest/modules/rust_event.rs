// SPDX-License-Identifier: GPL-2.0

//! A module that logs what a probe can read of each verdict event.

use core::str::from_utf8;
use kernel::{
    net::{
        iptables::{
            ArptVerdict,
            Event,
            Ip6tVerdict,
            IptVerdict,
            Rule, //
        },
        netfilter::{
            Family,
            NetDevice, //
        },
        nftables::{
            self,
            NftVerdict, //
        }, //
    },
    prelude::*,
    tracepoint::{
        Probe,
        Registration,
        Tracepoint, //
    }, //
};

module! {
    type: Events,
    name: "rust_event",
    authors: ["The iptverdict developers"],
    description: "Logs the verdict events",
    license: "GPL",
}

struct Log;

/// Returns the text before the first zero.
fn text(bytes: &[u8]) -> &str {
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or(bytes);
    from_utf8(bytes).unwrap_or("?")
}

impl<T> Probe<T> for Log
where
    T: for<'a> Tracepoint<Args<'a> = Event<'a>>,
{
    type Data = ();

    fn probe(_data: (), event: Event<'_>) {
        let position = event.rule.and_then(|rule| rule.position());
        let target = event.rule.as_ref().map_or(c"NONE", Rule::target);
        let [input, output] = [event.state.in_device(), event.state.out_device()];
        pr_info!(
            "family={} table={} hook={} rule={} ruleset={} policy={} target={} in={} out={} \
             net_cookie={} netns={} ifindex={}\n",
            event.family.name(),
            text(event.table.name()),
            event.state.number(),
            position.map_or(-1, |position| i64::from(position.offset)),
            position.map_or(0, |position| position.ruleset),
            position.is_some_and(|position| position.policy) as u8,
            text(target.to_bytes()),
            text(&input.map_or([0; 16], NetDevice::name)),
            text(&output.map_or([0; 16], NetDevice::name)),
            event.state.net().cookie(),
            event.state.net().inode(),
            input.map_or(0, NetDevice::ifindex),
        );
    }
}

struct LogNft;

impl Probe<NftVerdict> for LogNft {
    type Data = ();

    fn probe(_data: (), event: nftables::Event<'_>) {
        pr_info!(
            "nft={} family={} table={} chain={} handle={} policy={} net_cookie={}\n",
            event.state.family().map_or("?", Family::name),
            event.chain.family().map_or("?", Family::name),
            text(event.chain.table().to_bytes()),
            text(event.chain.name().to_bytes()),
            event.rule.map_or(0, nftables::Rule::handle),
            event.rule.is_none() as u8,
            event.state.net().cookie(),
        );
    }
}

struct Events {
    _ipv4: Registration<IptVerdict, Log>,
    _ipv6: Registration<Ip6tVerdict, Log>,
    _arp: Registration<ArptVerdict, Log>,
    _nft: Registration<NftVerdict, LogNft>,
}

impl kernel::Module for Events {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            _ipv4: Registration::new(())?,
            _ipv6: Registration::new(())?,
            _arp: Registration::new(())?,
            _nft: Registration::new(())?,
        })
    }
}
