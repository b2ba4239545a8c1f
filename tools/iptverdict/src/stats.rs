// SPDX-License-Identifier: GPL-2.0

//! `iptverdict stats`: counts by any set of keys, as the module's file has them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
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
    line::{printable, By},
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

/// What decided is kept for so many decisions.
const KNOWN: usize = 65_536;

/// The values of decisions, for these keys.
pub struct Keys {
    names: netns::Names,
    resolver: rules::Resolver,
    known: HashMap<Decision, By>,
}

impl Keys {
    pub fn new() -> Self {
        Self {
            names: netns::Names::default(),
            resolver: rules::Resolver::default(),
            known: HashMap::new(),
        }
    }

    pub fn by(&mut self, decision: &Decision, programs: &Programs) -> By {
        if let Some(by) = self.known.get(decision) {
            return by.clone();
        }
        let decider = self
            .resolver
            .decider(decision, |object| programs.current_ruleset(object));
        let by = By::new(decision, decider);
        // Later, its ruleset may be gone.
        if !matches!(by, By::Unknown(_)) && self.known.len() < KNOWN {
            self.known.insert(decision.clone(), by.clone());
        }
        by
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
        // Rulesets and namespaces can only be looked up while they are in use.
        for decision in programs.new_decisions(&mut known) {
            for key in &arguments.by {
                keys.value(*key, &decision, &programs);
            }
        }
    }

    let mut sums: BTreeMap<Vec<String>, Count> = BTreeMap::new();
    for (_, decision, count) in programs.decisions() {
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
            rows.push(row.iter().map(|cell| printable(cell)).collect());
        }
        print_table(&mut out, &rows)?;
    }
    out.flush()?;
    programs.warn_of_lost()
}
