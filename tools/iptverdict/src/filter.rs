// SPDX-License-Identifier: GPL-2.0

//! The options that select packets, in the form that the BPF programs compare.

use std::net::IpAddr;

use anyhow::{bail, ensure, Context, Result};
use clap::Args;

use crate::{
    bpf::types::{self, filtered as By},
    event::{OTHER, VERDICTS},
    netns, packet, tables,
};

/// So many bytes have the names that can be compared, of tables and chains, and of devices.
const NAME: usize = 31;
const DEVICE_NAME: usize = 15;

/// Selects packets, in the kernel. A packet has to match all of these.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub struct Filter {
    /// DROP, ACCEPT, STOLEN, QUEUE, REPEAT, STOP, OTHER; several with commas
    #[arg(long, value_name = "VERDICT", value_delimiter = ',')]
    pub verdict: Vec<String>,
    /// A table of iptables or nftables
    #[arg(long)]
    pub table: Option<String>,
    /// A built-in chain of iptables, or a base chain of nftables
    #[arg(long)]
    pub chain: Option<String>,
    /// A network namespace: a name of 'ip netns', the PID of a process in it, or host
    #[arg(long, value_name = "NAME|PID")]
    pub netns: Option<String>,
    /// Source address or network, of IP or ARP
    #[arg(long, value_name = "ADDRESS[/LEN]")]
    pub src: Option<String>,
    /// Destination address or network
    #[arg(long, value_name = "ADDRESS[/LEN]")]
    pub dst: Option<String>,
    /// Protocol of IP: tcp, udp, icmp, ... or its number
    #[arg(long)]
    pub proto: Option<String>,
    /// Source or destination port
    #[arg(long)]
    pub port: Option<u16>,
    /// Input device
    #[arg(long = "in", value_name = "DEVICE")]
    pub input: Option<String>,
    /// Output device
    #[arg(long = "out", value_name = "DEVICE")]
    pub output: Option<String>,
    /// Mark of the packet
    #[arg(long, value_name = "MARK[/MASK]")]
    pub mark: Option<String>,
}

/// The pattern for a name of at most `limit` bytes, which a NUL byte ends.
fn pattern(name: &str, limit: usize, what: &str) -> Result<types::pattern> {
    ensure!(!name.is_empty(), "{what}: the name is empty");
    ensure!(
        name.len() <= limit,
        "{what} {name}: longer than {limit} bytes"
    );
    let mut pattern = types::pattern::default();
    for (at, byte) in name.bytes().chain([0]).enumerate() {
        let shift = 8 * (at % 8);
        pattern.name[at / 8] |= u64::from(byte) << shift;
        pattern.mask[at / 8] |= 0xff << shift;
    }
    Ok(pattern)
}

/// Parses a number, also in hexadecimal.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The words of an address, in the order of memory. An IPv4 address is the last.
fn words(address: u128) -> [u32; 4] {
    [96, 64, 32, 0].map(|shift| ((address >> shift) as u32).to_be())
}

/// Parses a network into its address, without the bits of the host, its mask, and its version of
/// IP.
fn network(text: &str) -> Result<([u32; 4], [u32; 4], By)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let wrong = || format!("{text}: not an address, or a network as 10.0.0.0/8");
    let (bits, address, version): (u32, u128, By) = match address.parse().with_context(wrong)? {
        IpAddr::V4(v4) => (32, u32::from(v4).into(), By::BY_IPV4),
        IpAddr::V6(v6) => (128, v6.into(), By::BY_IPV6),
    };
    let length = match length {
        Some(length) => length.parse().with_context(wrong)?,
        None => bits,
    };
    if length > bits {
        bail!(wrong());
    }
    let mask = u128::MAX.checked_shl(bits - length).unwrap_or(0);
    Ok((words(address & mask), words(mask), version))
}

impl Filter {
    /// The filter of the BPF programs.
    pub fn compile(&self) -> Result<types::filter> {
        let mut filter = types::filter {
            verdicts: u32::MAX,
            ..Default::default()
        };
        let mut by = 0;
        if !self.verdict.is_empty() {
            filter.verdicts = 0;
        }
        for name in &self.verdict {
            let name = name.to_ascii_uppercase();
            filter.verdicts |= match VERDICTS.iter().position(|known| *known == name) {
                Some(action) => 1 << action,
                None if name == OTHER => u32::MAX << VERDICTS.len(),
                None => bail!("no verdict {name}: use {} or {OTHER}", VERDICTS.join(", ")),
            };
        }
        if let Some(table) = &self.table {
            filter.table = pattern(table, NAME, "table")?;
            tables::check(table)?;
            by |= By::BY_TABLE.0;
        }
        if let Some(chain) = &self.chain {
            filter.chain = pattern(chain, NAME, "chain")?;
            by |= By::BY_CHAIN.0;
            let bits = |hooks: &[&str]| {
                hooks
                    .iter()
                    .position(|hook| hook == chain)
                    .map_or(0, |hook| 1 << hook)
            };
            filter.hooks = bits(crate::rules::IPV4_HOOKS);
            filter.arp_hooks = bits(crate::rules::ARP_HOOKS);
        }
        if let Some(name) = &self.netns {
            filter.netns_cookie = netns::find(name)?;
            by |= By::BY_NETNS.0;
        }
        if let Some(source) = &self.src {
            let (address, mask, version) = network(source)?;
            (filter.source, filter.source_mask) = (address, mask);
            by |= By::BY_SOURCE.0 | version.0;
        }
        if let Some(destination) = &self.dst {
            let (address, mask, version) = network(destination)?;
            (filter.destination, filter.destination_mask) = (address, mask);
            by |= By::BY_DESTINATION.0 | version.0;
        }
        if let Some(name) = &self.proto {
            filter.protocol = packet::protocol(name)
                .with_context(|| format!("no protocol {name}: use a name as tcp, or a number"))?;
            by |= By::BY_PROTOCOL.0;
        }
        if let Some(port) = self.port {
            filter.port = port.to_be();
            by |= By::BY_PORT.0;
        }
        if let Some(device) = &self.input {
            filter.r#in = pattern(device, DEVICE_NAME, "device")?;
            by |= By::BY_IN.0;
        }
        if let Some(device) = &self.output {
            filter.out = pattern(device, DEVICE_NAME, "device")?;
            by |= By::BY_OUT.0;
        }
        if let Some(text) = &self.mark {
            let (mark, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
            let wrong = || format!("mark {text}: use a number, or a number and a mask as 0x1/0xff");
            filter.mark_mask = number(mask).with_context(wrong)?;
            filter.mark = number(mark).with_context(wrong)? & filter.mark_mask;
            by |= By::BY_MARK.0;
        }
        let versions = By::BY_IPV4.0 | By::BY_IPV6.0;
        ensure!(
            by & versions != versions,
            "--src and --dst: one is an IPv4 address, the other an IPv6 address"
        );
        filter.by = By(by);
        Ok(filter)
    }
}
