// SPDX-License-Identifier: GPL-2.0

//! `iptverdict stats`: counts by any set of keys, as the module's file has them.

use std::{
    collections::{BTreeMap, HashSet},
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{json, Map, Value};

use crate::{
    bpf::{Count, Mode, Programs},
    event::Decision,
    filter::Filter,
    line::By,
    netns, rules, stop,
};

/// What to count by.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Key {
    Netns,
    Family,
    Table,
    Chain,
    Verdict,
    Rule,
}

#[derive(Args)]
pub struct Stats {
    /// The keys, with commas between them
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "family,table,chain,verdict"
    )]
    by: Vec<Key>,
    /// Count for so many seconds; otherwise until Ctrl-C
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: Filter,
}

impl Key {
    fn name(self) -> &'static str {
        match self {
            Self::Netns => "netns",
            Self::Family => "family",
            Self::Table => "table",
            Self::Chain => "chain",
            Self::Verdict => "verdict",
            Self::Rule => "rule",
        }
    }
}

/// The values of decisions, for these keys.
pub struct Keys {
    names: netns::Names,
    resolver: rules::Resolver,
}

impl Keys {
    pub fn new() -> Self {
        Self {
            names: netns::Names::default(),
            resolver: rules::Resolver::default(),
        }
    }

    pub fn by(&mut self, decision: &Decision, programs: &Programs) -> By {
        let decider = self
            .resolver
            .decider(decision, |object| programs.current_ruleset(object));
        By::new(decision, decider)
    }

    pub fn netns(&mut self, decision: &Decision) -> String {
        self.names.get(decision.netns).to_owned()
    }

    pub fn netns_of(&mut self, inode: u32, cookie: u64) -> String {
        self.names.get(netns::Id { inode, cookie }).to_owned()
    }

    fn value(&mut self, key: Key, decision: &Decision, programs: &Programs) -> String {
        match key {
            Key::Netns => self.netns(decision),
            Key::Family => decision.family().to_owned(),
            Key::Table => decision.table.clone(),
            Key::Chain => decision.chain().to_owned(),
            Key::Verdict => decision.verdict().to_owned(),
            Key::Rule => self.by(decision, programs).text(),
        }
    }
}

/// Prints a table with aligned columns.
fn print_table(out: &mut impl Write, rows: &[Vec<String>]) -> io::Result<()> {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let widths: Vec<usize> = (0..first.len())
        .map(|i| {
            rows.iter()
                .map(|row| row[i].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

pub fn run(arguments: Stats) -> Result<()> {
    let stop = stop::on_signals()?;
    let programs = Programs::attach(Mode::Count, arguments.filter.compile()?)?;
    let start = Instant::now();
    let end = arguments.seconds.map(Duration::from_secs);
    eprintln!("iptverdict: counting; end with Ctrl-C");
    let (mut keys, mut known) = (Keys::new(), HashSet::new());
    while !stop.requested() && end.is_none_or(|end| start.elapsed() < end) {
        thread::sleep(Duration::from_millis(100));
        // A ruleset can only be read while it is in use.
        if arguments.by.contains(&Key::Rule) {
            for decision in programs.new_decisions(&mut known) {
                keys.by(&decision, &programs);
            }
        }
    }

    let mut sums: BTreeMap<Vec<String>, Count> = BTreeMap::new();
    for (decision, count) in programs.decisions() {
        let row = arguments
            .by
            .iter()
            .map(|key| keys.value(*key, &decision, &programs))
            .collect();
        *sums.entry(row).or_default() += count;
    }
    let mut out = io::BufWriter::new(io::stdout());
    let header = arguments.by.iter().map(|key| key.name());
    if arguments.json {
        for (row, count) in sums {
            let mut object: Map<String, Value> = header
                .clone()
                .zip(row)
                .map(|(key, value)| (key.to_owned(), value.into()))
                .collect();
            object.insert("packets".to_owned(), json!(count.packets));
            object.insert("bytes".to_owned(), json!(count.bytes));
            writeln!(out, "{}", Value::from(object))?;
        }
    } else {
        let mut rows = vec![header
            .chain(["packets", "bytes"])
            .map(str::to_owned)
            .collect()];
        for (mut row, count) in sums {
            row.extend([count.packets.to_string(), count.bytes.to_string()]);
            rows.push(row);
        }
        print_table(&mut out, &rows)?;
    }
    out.flush()?;
    let lost = programs.lost()?;
    if lost > 0 {
        eprintln!("iptverdict: {lost} packets were not counted: too many different keys");
    }
    Ok(())
}
