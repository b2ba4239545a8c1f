// SPDX-License-Identifier: GPL-2.0

//! The packet of a record: addresses, ports, types and flags, from its headers.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::Serialize;

const ETH_P_IP: u16 = 0x0800;
const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;

/// What the headers say. Fields that the packet does not have are `None`.
#[derive(Serialize, Default, Debug, PartialEq, Eq)]
pub struct Packet {
    /// By name if it has a common one, otherwise its number; `arp`, or an EtherType as `0x88cc`.
    pub protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_flags: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arp_operation: Option<u16>,
    /// That of the Ethernet header, or of ARP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_mac: Option<String>,
    /// Bytes after the start of the original packet: this is not its first fragment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fragment_offset: Option<u16>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn ipv4_at(bytes: &[u8], at: usize) -> Option<IpAddr> {
    let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(bytes).into())
}

fn ipv6_at(bytes: &[u8], at: usize) -> Option<IpAddr> {
    let bytes: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(Ipv6Addr::from(bytes).into())
}

pub fn mac(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

/// The protocols with a name, and those that have ports.
const PROTOCOLS: [(u8, &str, bool); 14] = [
    (1, "icmp", false),
    (2, "igmp", false),
    (4, "ipip", false),
    (6, "tcp", true),
    (17, "udp", true),
    (33, "dccp", true),
    (41, "ipv6", false),
    (47, "gre", false),
    (50, "esp", false),
    (51, "ah", false),
    (58, "icmpv6", false),
    (89, "ospf", false),
    (132, "sctp", true),
    (136, "udplite", true),
];

/// Finds a protocol by its name or number.
pub fn protocol(name: &str) -> Option<u8> {
    PROTOCOLS
        .iter()
        .find(|(_, known, _)| known.eq_ignore_ascii_case(name))
        .map(|(number, _, _)| *number)
        .or_else(|| name.parse().ok())
}

impl Packet {
    /// Reads the headers. `bytes` begins at the network header, and may end early.
    pub fn parse(ethertype: u16, bytes: &[u8]) -> Self {
        let mut packet = Self {
            protocol: format!("0x{ethertype:04x}"),
            ..Self::default()
        };
        // What was cut off stays unknown.
        let _ = match ethertype {
            ETH_P_IP => packet.ipv4(bytes),
            ETH_P_IPV6 => packet.ipv6(bytes),
            ETH_P_ARP => packet.arp(bytes),
            _ => None,
        };
        packet
    }

    fn arp(&mut self, bytes: &[u8]) -> Option<()> {
        self.protocol = "arp".to_owned();
        self.arp_operation = u16_at(bytes, 6);
        // Ethernet and IPv4.
        if bytes.get(4..6)? == [6, 4] {
            self.source_mac = Some(mac(bytes.get(8..14)?));
            self.source = ipv4_at(bytes, 14);
            self.destination = ipv4_at(bytes, 24);
        }
        Some(())
    }

    fn ipv4(&mut self, bytes: &[u8]) -> Option<()> {
        self.source = ipv4_at(bytes, 12);
        self.destination = ipv4_at(bytes, 16);
        let protocol = *bytes.get(9)?;
        self.set_protocol(protocol);
        let offset = (u16_at(bytes, 6)? & 0x1fff) * 8;
        if offset > 0 {
            self.fragment_offset = Some(offset);
            return None;
        }
        let header = usize::from(bytes.first()? & 0xf) * 4;
        self.transport(protocol, bytes.get(header..)?)
    }

    fn ipv6(&mut self, bytes: &[u8]) -> Option<()> {
        self.source = ipv6_at(bytes, 8);
        self.destination = ipv6_at(bytes, 24);
        let (mut protocol, mut at) = (*bytes.get(6)?, 40);
        self.set_protocol(protocol);
        loop {
            let length = match protocol {
                0 | 43 | 60 => (usize::from(*bytes.get(at + 1)?) + 1) * 8,
                51 => (usize::from(*bytes.get(at + 1)?) + 2) * 4,
                44 => 8,
                _ => break,
            };
            let fragment = protocol == 44;
            protocol = *bytes.get(at)?;
            self.set_protocol(protocol);
            if fragment {
                let offset = u16_at(bytes, at + 2)? & !7;
                if offset > 0 {
                    self.fragment_offset = Some(offset);
                    return None;
                }
            }
            at += length;
        }
        self.transport(protocol, bytes.get(at..)?)
    }

    fn set_protocol(&mut self, protocol: u8) {
        self.protocol = PROTOCOLS
            .iter()
            .find(|(number, _, _)| *number == protocol)
            .map_or_else(|| protocol.to_string(), |(_, name, _)| (*name).to_owned());
    }

    fn transport(&mut self, protocol: u8, bytes: &[u8]) -> Option<()> {
        if PROTOCOLS
            .iter()
            .any(|(number, _, ports)| *number == protocol && *ports)
        {
            self.source_port = u16_at(bytes, 0);
            self.destination_port = u16_at(bytes, 2);
        }
        match protocol {
            1 | 58 => {
                self.icmp_type = Some(*bytes.first()?);
                self.icmp_code = Some(*bytes.get(1)?);
            }
            6 => self.tcp_flags = Some(tcp_flags(*bytes.get(13)?)),
            _ => (),
        }
        Some(())
    }
}

fn tcp_flags(flags: u8) -> String {
    const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
    let set: Vec<&str> = NAMES
        .iter()
        .enumerate()
        .filter(|(bit, _)| flags & (1 << bit) != 0)
        .map(|(_, name)| *name)
        .collect();
    set.join(",")
}

/// An address with its port.
struct End(Option<IpAddr>, Option<u16>);

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(IpAddr::V6(address)), Some(port)) => write!(out, "[{address}]:{port}"),
            (Some(address), Some(port)) => write!(out, "{address}:{port}"),
            (Some(address), None) => write!(out, "{address}"),
            (None, _) => write!(out, "?"),
        }
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.protocol)?;
        if self.source.is_some() {
            let source = End(self.source, self.source_port);
            write!(
                out,
                " {source} > {}",
                End(self.destination, self.destination_port)
            )?;
        }
        if let Some(flags) = &self.tcp_flags {
            write!(out, " [{flags}]")?;
        }
        if let (Some(kind), Some(code)) = (self.icmp_type, self.icmp_code) {
            write!(out, " type {kind} code {code}")?;
        }
        if let Some(operation) = self.arp_operation {
            write!(out, " operation {operation}")?;
        }
        if let Some(offset) = self.fragment_offset {
            write!(out, " fragment at {offset}")?;
        }
        Ok(())
    }
}
