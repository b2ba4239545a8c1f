// SPDX-License-Identifier: GPL-2.0

//! The options that select packets, in the form that the BPF programs compare.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{bail, ensure, Context, Result};
use clap::Args;

use crate::{
    bpf::types,
    event::{OTHER, VERDICTS},
    netns, packet,
};

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

/// Fills a name of the kernel. What is left is zero.
fn set_name<const N: usize>(name: &mut [i8; N], value: &str, what: &str) -> Result<u8> {
    ensure!(!value.is_empty(), "{what}: the name is empty");
    ensure!(
        value.len() < N,
        "{what} {value}: longer than {} bytes",
        N - 1
    );
    for (to, from) in name.iter_mut().zip(value.bytes()) {
        *to = from as i8;
    }
    Ok(1)
}

/// Parses a number, also in hexadecimal.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The words of an address, in the order of memory.
fn words(address: u128) -> [u64; 2] {
    let bytes = address.to_be_bytes();
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_ne_bytes(word)
    };
    [word(0), word(8)]
}

/// Parses a network: its address, without the bits of the host, and its mask.
fn network(text: &str) -> Result<([u64; 2], [u64; 2])> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let wrong = || format!("{text}: not an address, or a network as 10.0.0.0/8");
    let address: IpAddr = address.parse().with_context(wrong)?;
    let (bits, mapped): (u32, Ipv6Addr) = match address {
        IpAddr::V4(v4) => (32, v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => (128, v6),
    };
    let length = match length {
        Some(length) => length.parse().with_context(wrong)?,
        None => bits,
    };
    if length > bits {
        bail!(wrong());
    }
    let mask = u128::MAX.checked_shl(bits - length).unwrap_or(0);
    // The prefix of an IPv4 address is part of its network.
    let mask = if bits == 32 {
        mask | (u128::MAX << 32)
    } else {
        mask
    };
    Ok((words(u128::from(mapped) & mask), words(mask)))
}

impl Filter {
    /// The filter of the BPF programs.
    pub fn compile(&self) -> Result<types::filter> {
        let mut filter = types::filter {
            verdicts: u32::MAX,
            ..Default::default()
        };
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
            filter.has_table = set_name(&mut filter.table, table, "table")?;
        }
        if let Some(chain) = &self.chain {
            filter.has_chain = set_name(&mut filter.chain, chain, "chain")?;
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
            filter.netns = netns::find(name)?;
            filter.has_netns = 1;
        }
        if let Some(source) = &self.src {
            (filter.source, filter.source_mask) = network(source)?;
            filter.has_source = 1;
        }
        if let Some(destination) = &self.dst {
            (filter.destination, filter.destination_mask) = network(destination)?;
            filter.has_destination = 1;
        }
        if let Some(name) = &self.proto {
            filter.protocol = packet::protocol(name)
                .with_context(|| format!("no protocol {name}: use a name as tcp, or a number"))?;
            filter.has_protocol = 1;
        }
        if let Some(port) = self.port {
            filter.port = port;
            filter.has_port = 1;
        }
        if let Some(device) = &self.input {
            filter.has_in = set_name(&mut filter.r#in, device, "device")?;
        }
        if let Some(device) = &self.output {
            filter.has_out = set_name(&mut filter.out, device, "device")?;
        }
        if let Some(text) = &self.mark {
            let (mark, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
            let wrong = || format!("mark {text}: use a number, or a number and a mask as 0x1/0xff");
            filter.mark_mask = number(mask).with_context(wrong)?;
            filter.mark = number(mark).with_context(wrong)? & filter.mark_mask;
            filter.has_mark = 1;
        }
        Ok(filter)
    }
}
