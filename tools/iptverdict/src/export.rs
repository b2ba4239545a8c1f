// SPDX-License-Identifier: GPL-2.0

//! `iptverdict export`: counts for Prometheus, by what the module counts them by, so that rulesets
//! and namespaces that come and go make no new series.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use clap::Args;
use prometheus_client::{
    collector::Collector,
    encoding::{text::encode, DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, MetricType},
    registry::{Registry, Unit},
};

use crate::{
    bpf::{Mode, Programs, Total},
    filter::Filter,
    http::{self, Response},
    stop::{self, Stop},
};

/// How often signals are looked for.
const TICK: Duration = Duration::from_millis(100);
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    to: To,
    /// Seconds between updates of the file
    #[arg(long, value_name = "SECONDS", default_value = "15", conflicts_with = "listen", value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct To {
    /// Serve /metrics by HTTP at this address, as 127.0.0.1:9999 or [::1]:9999
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Write this file, NAME.prom, in the directory of the textfile collector of node_exporter
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
}

/// The counts at one time.
#[derive(Debug)]
struct Counts {
    totals: Vec<Total>,
    lost: u64,
}

impl Counts {
    fn read(programs: &Programs) -> Result<Self> {
        Ok(Self {
            totals: programs.totals()?,
            lost: programs.lost()?,
        })
    }

    /// As text in the format of OpenMetrics.
    fn openmetrics(self) -> Result<String> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Counts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = |name, help, unit: Option<&Unit>, value: fn(&Total) -> u64| {
            let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
            for total in &self.totals {
                let labels = [
                    ("family", total.family),
                    ("table", total.table),
                    ("chain", total.hook),
                    ("verdict", total.verdict),
                ];
                ConstCounter::new(value(total)).encode(family.encode_family(&labels)?)?;
            }
            Ok(())
        };
        family(
            "iptverdict_packets",
            "Verdicts of iptables and nftables",
            None,
            |total| total.count.packets,
        )?;
        family(
            "iptverdict",
            "Lengths of the packets at the verdict",
            Some(&Unit::Bytes),
            |total| total.count.bytes,
        )?;
        let lost = encoder.encode_descriptor(
            "iptverdict_lost_packets",
            "Verdicts that were not counted",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(self.lost).encode(lost)
    }
}

/// The same in the older text format of Prometheus, which node_exporter reads: there, the name of a
/// counter ends in _total everywhere.
fn prometheus_text(openmetrics: &str) -> String {
    let mut text = String::new();
    for line in openmetrics.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", kind @ ("HELP" | "TYPE"), name, rest] => {
                text += &format!("# {kind} {name}_total {rest}\n");
            }
            ["#", ..] => (),
            _ => text += &format!("{line}\n"),
        }
    }
    text
}

/// Replaces a file: a reader sees the old content or the new.
fn replace(path: &Path, content: &str) -> Result<()> {
    let new = path.with_extension("prom.new");
    let write = || {
        // It may be there from a run that was killed. Others may write to the directory, so what is
        // created is not what they have put there.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&new)?
            .write_all(content.as_bytes())
            .and_then(|()| fs::rename(&new, path))
            .inspect_err(|_| {
                let _ = fs::remove_file(&new);
            })
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Writes the file until a signal, and then removes it: old counts would look like no packets.
fn write_file(path: &Path, interval: Duration, programs: &Programs, stop: &Stop) -> Result<()> {
    let update = || {
        replace(
            path,
            &prometheus_text(&Counts::read(programs)?.openmetrics()?),
        )
    };
    update()?;
    eprintln!("iptverdict: counting; {}", path.display());
    let mut last = Instant::now();
    while !stop.requested() {
        thread::sleep(TICK);
        if last.elapsed() >= interval {
            // The disk may be full for a while.
            if let Err(error) = update() {
                eprintln!("iptverdict: {error:#}");
            }
            last = Instant::now();
        }
    }
    fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
}

fn answer(programs: &Programs, method: &str, path: &str) -> Response {
    let text = |status, body| Response {
        status,
        content_type: TEXT,
        body,
    };
    match (method, path.split('?').next().unwrap_or(path)) {
        ("GET" | "HEAD", "/metrics") => {
            match Counts::read(programs).and_then(Counts::openmetrics) {
                Ok(body) => Response {
                    status: "200 OK",
                    content_type: OPENMETRICS,
                    body,
                },
                Err(error) => text("500 Internal Server Error", format!("{error:#}\n")),
            }
        }
        ("GET" | "HEAD", _) => text("404 Not Found", "The metrics are at /metrics\n".to_owned()),
        _ => text("405 Method Not Allowed", "Use GET\n".to_owned()),
    }
}

/// Answers requests until a signal.
fn serve(address: SocketAddr, programs: &Programs, stop: &Stop) -> Result<()> {
    let mut server =
        http::Server::bind(address).with_context(|| format!("cannot listen at {address}"))?;
    // The kernel chooses the port if it is 0.
    eprintln!("iptverdict: counting; http://{}/metrics", server.address()?);
    while !stop.requested() {
        thread::sleep(server.serve(|method, path| answer(programs, method, path)));
    }
    Ok(())
}

pub fn run(arguments: Export) -> Result<()> {
    if let Some(path) = &arguments.to.textfile {
        ensure!(
            path.extension()
                .is_some_and(|extension| extension == "prom"),
            "--textfile {}: node_exporter reads files whose names end in .prom",
            path.display()
        );
    }
    let stop = stop::on_signals()?;
    let programs = Programs::attach(Mode::CountTotals, arguments.filter.compile()?)?;
    match (arguments.to.listen, arguments.to.textfile) {
        (Some(address), _) => serve(address, &programs, &stop)?,
        (None, Some(path)) => {
            let interval = Duration::from_secs(arguments.interval);
            write_file(&path, interval, &programs, &stop)?;
        }
        // clap asks for one of them.
        (None, None) => (),
    }
    programs.warn_of_lost()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::Count;

    fn counts() -> Counts {
        let total = |verdict, packets, bytes| Total {
            family: "ipv4",
            table: "filter",
            hook: "FORWARD",
            verdict,
            count: Count { packets, bytes },
        };
        Counts {
            totals: vec![total("DROP", 2, 76), total("ACCEPT", u64::MAX, 0)],
            lost: 3,
        }
    }

    #[test]
    fn openmetrics() {
        assert_eq!(
            counts().openmetrics().unwrap(),
            "# HELP iptverdict_packets Verdicts of iptables and nftables
# TYPE iptverdict_packets counter
iptverdict_packets_total{family=\"ipv4\",table=\"filter\",chain=\"FORWARD\",verdict=\"DROP\"} 2
iptverdict_packets_total{family=\"ipv4\",table=\"filter\",chain=\"FORWARD\",verdict=\"ACCEPT\"} 18446744073709551615
# HELP iptverdict_bytes Lengths of the packets at the verdict
# TYPE iptverdict_bytes counter
# UNIT iptverdict_bytes bytes
iptverdict_bytes_total{family=\"ipv4\",table=\"filter\",chain=\"FORWARD\",verdict=\"DROP\"} 76
iptverdict_bytes_total{family=\"ipv4\",table=\"filter\",chain=\"FORWARD\",verdict=\"ACCEPT\"} 0
# HELP iptverdict_lost_packets Verdicts that were not counted
# TYPE iptverdict_lost_packets counter
iptverdict_lost_packets_total 3
# EOF
"
        );
    }

    #[test]
    fn text_for_node_exporter() {
        let text = prometheus_text(&counts().openmetrics().unwrap());
        let kinds: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(
            kinds,
            [
                "# HELP iptverdict_packets_total Verdicts of iptables and nftables",
                "# TYPE iptverdict_packets_total counter",
                "# HELP iptverdict_bytes_total Lengths of the packets at the verdict",
                "# TYPE iptverdict_bytes_total counter",
                "# HELP iptverdict_lost_packets_total Verdicts that were not counted",
                "# TYPE iptverdict_lost_packets_total counter",
            ]
        );
        assert!(text.contains(
            "\niptverdict_packets_total{family=\"ipv4\",table=\"filter\",chain=\"FORWARD\",verdict=\"DROP\"} 2\n"
        ));
    }
}
