// SPDX-License-Identifier: GPL-2.0

//! `iptverdict watch`: a line for each verdict.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use anyhow::Result;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use ratatui::crossterm::terminal;

use crate::{
    bpf::{types, Mode, Programs},
    event::Decision,
    filter::Filter,
    line::Line,
    netns, rules, stop,
    sys::{self, read_plain},
};

#[derive(Args)]
pub struct Watch {
    /// Show each verdict, not only DROP
    #[arg(long, conflicts_with = "verdict")]
    all: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// End after N verdicts
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    filter: Filter,
}

/// Turns CLOCK_MONOTONIC into the time of day.
struct Clock {
    /// The time of day at which CLOCK_MONOTONIC was 0.
    zero: Timestamp,
}

impl Clock {
    /// Two readings of the clocks differ by less, unless the time of day was set, or the machine
    /// was suspended.
    const STEP: SignedDuration = SignedDuration::from_millis(10);

    fn new() -> Self {
        let now = Timestamp::now();
        Self {
            zero: now - nanoseconds(sys::monotonic()),
        }
    }

    fn at(&mut self, monotonic: u64) -> Timestamp {
        let new = Self::new();
        if new.zero.duration_since(self.zero).abs() > Self::STEP {
            *self = new;
        }
        self.zero + nanoseconds(monotonic)
    }
}

/// CLOCK_MONOTONIC starts at boot, and i64 has nanoseconds for centuries.
fn nanoseconds(monotonic: u64) -> SignedDuration {
    SignedDuration::from_nanos(i64::try_from(monotonic).unwrap_or(i64::MAX))
}

pub fn run(mut arguments: Watch) -> Result<()> {
    if !arguments.all && arguments.filter.verdict.is_empty() {
        arguments.filter.verdict.push("DROP".to_owned());
    }
    let stop = stop::on_signals()?;
    let programs = Programs::attach(Mode::Watch, arguments.filter.compile()?)?;
    let mut out = io::BufWriter::new(io::stdout());
    let terminal = io::stdout().is_terminal();
    let color = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut clock = Clock::new();
    let (mut resolver, mut names) = (rules::Resolver::default(), netns::Names::default());
    let shown = std::cell::Cell::new(0);
    let wanted = arguments.count.unwrap_or(u64::MAX);
    eprintln!("iptverdict: watching; end with Ctrl-C");
    programs.records(
        |bytes| {
            if shown.get() >= wanted {
                return Ok(());
            }
            let Some(record) = read_plain::<types::record>(bytes) else {
                return Ok(());
            };
            let decision = Decision::new(&record.decision, &record.details);
            let decider = resolver.decider(&decision, |object| programs.current_ruleset(object));
            let name = names.get(decision.netns);
            let line = Line::new(&record, &decision, decider, name, clock.at(record.time));
            if arguments.json {
                serde_json::to_writer(&mut out, &line)?;
                writeln!(out)?;
            } else {
                let width = terminal.then(|| terminal::size().map_or(80, |(columns, _)| columns));
                writeln!(out, "{}", line.text(width, color))?;
            }
            shown.set(shown.get() + 1);
            // A line is seen at once, also in a pipe.
            out.flush()
        },
        || stop.requested() || shown.get() >= wanted,
    )?;
    let lost = programs.lost()?;
    eprintln!("iptverdict: {} verdicts shown, {lost} lost", shown.get());
    Ok(())
}
