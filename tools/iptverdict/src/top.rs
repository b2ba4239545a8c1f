// SPDX-License-Identifier: GPL-2.0

//! `iptverdict top`: what decides on most packets, live.

use std::{
    collections::HashMap,
    io::{self, IsTerminal, Write},
    net::Ipv6Addr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, Result};
use clap::{Args, ValueEnum};
use ratatui::{
    crossterm::event::{self as input, Event, KeyCode, KeyEventKind, KeyModifiers},
    layout::{Constraint, Layout},
    style::{Modifier, Style},
    text::Line as Text,
    widgets::{Paragraph, Row as TableRow, Table, TableState},
    DefaultTerminal, Frame,
};
use serde::Serialize;

use crate::{
    bpf::{types, Count, Mode, Programs},
    event::Decision,
    filter::Filter,
    line::printable,
    stats::Keys,
    stop::{self, Stop},
};

/// From this width on, there is a column for bytes.
const WIDE: u16 = 120;

/// What a row is about.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    Rules,
    Chains,
    Namespaces,
    Sources,
}

#[derive(Args)]
pub struct Top {
    /// Count by this
    #[arg(long, value_enum, default_value = "rules")]
    by: By,
    /// Count for one interval, print, and end
    #[arg(long)]
    once: bool,
    /// As --once, with one JSON object a line
    #[arg(long)]
    json: bool,
    /// Seconds between updates
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    #[command(flatten)]
    filter: Filter,
}

/// What is counted, in columns.
#[derive(Serialize, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Label {
    netns: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    family: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    table: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    chain: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    verdict: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    rule: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
}

#[derive(Serialize, Clone)]
struct Row {
    #[serde(flatten)]
    label: Label,
    packets_per_second: f64,
    packets: u64,
    bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Rate,
    Packets,
    Bytes,
}

impl Order {
    fn next(self) -> Self {
        match self {
            Self::Rate => Self::Packets,
            Self::Packets => Self::Bytes,
            Self::Bytes => Self::Rate,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rate => "packets per second",
            Self::Packets => "packets",
            Self::Bytes => "bytes",
        }
    }

    fn sort(self, rows: &mut [Row]) {
        rows.sort_by(|a, b| {
            match self {
                Self::Rate => b.packets_per_second.total_cmp(&a.packets_per_second),
                Self::Packets => b.packets.cmp(&a.packets),
                Self::Bytes => b.bytes.cmp(&a.bytes),
            }
            .then_with(|| a.label.cmp(&b.label))
        });
    }
}

/// An address as the BPF programs have it, in words.
fn address(halves: [u64; 2]) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&halves[0].to_ne_bytes());
    bytes[8..].copy_from_slice(&halves[1].to_ne_bytes());
    let address = Ipv6Addr::from(bytes);
    match address.to_ipv4_mapped() {
        Some(v4) => v4.to_string(),
        None => address.to_string(),
    }
}

/// Reads the counts, and compares them with those before.
struct Sampler {
    by: By,
    programs: Programs,
    keys: Keys,
    /// Packets, by the keys of the maps: a label may change when its rule becomes known.
    before: HashMap<Vec<u8>, u64>,
    at: Instant,
}

impl Sampler {
    fn new(by: By, programs: Programs) -> Self {
        Self {
            by,
            programs,
            keys: Keys::new(),
            before: HashMap::new(),
            at: Instant::now(),
        }
    }

    fn counts(&mut self) -> Vec<(Vec<u8>, Label, Count)> {
        if self.by == By::Sources {
            let sources = self.programs.sources().into_iter();
            return sources
                .map(|(key, source, count)| (key, self.source_label(&source), count))
                .collect();
        }
        let decisions = self.programs.decisions().into_iter();
        decisions
            .map(|(key, decision, count)| (key, self.label(&decision), count))
            .collect()
    }

    fn source_label(&mut self, source: &types::source) -> Label {
        Label {
            netns: self.keys.netns_of(source.netns, source.netns_cookie),
            source: match source.has_address {
                0 => "-".to_owned(),
                _ => address(source.address),
            },
            ..Label::default()
        }
    }

    fn label(&mut self, decision: &Decision) -> Label {
        let mut label = Label {
            netns: self.keys.netns(decision),
            ..Label::default()
        };
        if self.by != By::Namespaces {
            decision.family().clone_into(&mut label.family);
            label.table.clone_from(&decision.table);
            decision.chain().clone_into(&mut label.chain);
            decision.verdict().clone_into(&mut label.verdict);
        }
        if self.by == By::Rules {
            label.rule = self.keys.by(decision, &self.programs).text();
        }
        label
    }

    fn sample(&mut self) -> Vec<Row> {
        let counts = self.counts();
        let seconds = self.at.elapsed().as_secs_f64().max(0.001);
        self.at = Instant::now();
        let mut rows: HashMap<Label, Row> = HashMap::new();
        for (key, label, count) in counts {
            let before = self.before.insert(key, count.packets).unwrap_or(0);
            let row = rows.entry(label.clone()).or_insert(Row {
                label,
                packets_per_second: 0.0,
                packets: 0,
                bytes: 0,
            });
            row.packets_per_second += count.packets.saturating_sub(before) as f64 / seconds;
            row.packets += count.packets;
            row.bytes += count.bytes;
        }
        rows.into_values().collect()
    }
}

/// The columns of text for this kind of row.
fn columns(by: By) -> &'static [&'static str] {
    match by {
        By::Rules => &["netns", "family", "table", "chain", "verdict", "rule"],
        By::Chains => &["netns", "family", "table", "chain", "verdict"],
        By::Namespaces => &["netns"],
        By::Sources => &["netns", "source"],
    }
}

impl Row {
    fn numbers(&self) -> [String; 3] {
        [
            format!("{:.1}", self.packets_per_second),
            self.packets.to_string(),
            self.bytes.to_string(),
        ]
    }

    fn texts(&self, by: By) -> Vec<String> {
        columns(by)
            .iter()
            .map(|column| match *column {
                "netns" => &self.label.netns,
                "family" => &self.label.family,
                "table" => &self.label.table,
                "chain" => &self.label.chain,
                "verdict" => &self.label.verdict,
                "rule" => &self.label.rule,
                _ => &self.label.source,
            })
            .cloned()
            .collect()
    }
}

fn print_once(sampler: &mut Sampler, json: bool) -> Result<()> {
    let mut rows = sampler.sample();
    Order::Rate.sort(&mut rows);
    let mut out = io::BufWriter::new(io::stdout());
    if !json {
        writeln!(
            out,
            "{:>10} {:>12} {:>14}  {}",
            "packets/s",
            "packets",
            "bytes",
            columns(sampler.by).join("  ")
        )?;
    }
    for row in rows {
        if json {
            serde_json::to_writer(&mut out, &row)?;
            writeln!(out)?;
        } else {
            let [rate, packets, bytes] = row.numbers();
            let texts = printable(&row.texts(sampler.by).join("  "));
            writeln!(out, "{rate:>10} {packets:>12} {bytes:>14}  {texts}")?;
        }
    }
    out.flush()?;
    sampler.programs.warn_of_lost()
}

/// The state of the screen.
struct Screen {
    by: By,
    rows: Vec<Row>,
    order: Order,
    paused: bool,
    /// Rows have to contain this text.
    wanted: String,
    typing: bool,
    place: TableState,
    lost: u64,
}

impl Screen {
    fn visible(&self) -> Vec<&Row> {
        self.rows
            .iter()
            .filter(|row| {
                self.wanted.is_empty()
                    || row
                        .texts(self.by)
                        .iter()
                        .any(|text| text.contains(&self.wanted))
            })
            .collect()
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let [head, body, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let state = if self.paused { ", paused" } else { "" };
        let lost = match self.lost {
            0 => String::new(),
            lost => format!(", {lost} packets not counted"),
        };
        let title = format!("iptverdict top: by {}{state}{lost}", self.order.name());
        frame.render_widget(Paragraph::new(Text::from(title)), head);

        // A narrow terminal has no space for the bytes.
        let numbers: &[&str] = if body.width < WIDE {
            &["packets/s", "packets"]
        } else {
            &["packets/s", "packets", "bytes"]
        };
        let names = columns(self.by);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let header: Vec<&str> = numbers.iter().chain(names).copied().collect();
        let rows: Vec<Vec<String>> = self
            .visible()
            .into_iter()
            .map(|row| {
                let cells = row.numbers().into_iter().take(numbers.len());
                cells.chain(row.texts(self.by)).collect()
            })
            .collect();
        let widths: Vec<Constraint> = (0..header.len())
            .map(|i| {
                let width = rows
                    .iter()
                    .map(|row| row[i].chars().count())
                    .max()
                    .unwrap_or(0);
                let width = width.max(header[i].len()).try_into().unwrap_or(u16::MAX);
                // The rule takes what is left.
                if header[i] == "rule" {
                    Constraint::Min(width.min(20))
                } else {
                    Constraint::Length(width)
                }
            })
            .collect();
        let table = Table::new(rows.into_iter().map(TableRow::new), widths)
            .header(TableRow::new(header).style(bold))
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        frame.render_stateful_widget(table, body, &mut self.place);

        let help = if self.typing {
            format!("/{}", self.wanted)
        } else {
            "q quit  s sort  p pause  / filter  arrows scroll".to_owned()
        };
        frame.render_widget(Paragraph::new(help), foot);
    }

    /// Handles a key. Returns whether to end.
    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) -> bool {
        if code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL) {
            return true;
        }
        if self.typing {
            match code {
                KeyCode::Enter => self.typing = false,
                KeyCode::Esc => {
                    self.typing = false;
                    self.wanted.clear();
                }
                KeyCode::Backspace => {
                    self.wanted.pop();
                }
                KeyCode::Char(character) => self.wanted.push(character),
                _ => (),
            }
            return false;
        }
        match code {
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Char('s') => {
                self.order = self.order.next();
                self.order.sort(&mut self.rows);
            }
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('/') => {
                self.typing = true;
                self.wanted.clear();
            }
            KeyCode::Down => self.place.scroll_down_by(1),
            KeyCode::Up => self.place.scroll_up_by(1),
            KeyCode::PageDown => self.place.scroll_down_by(10),
            KeyCode::PageUp => self.place.scroll_up_by(10),
            KeyCode::Home => self.place.select_first(),
            KeyCode::End => self.place.select_last(),
            _ => (),
        }
        false
    }
}

/// Shows the screen until q or a signal.
fn live(
    terminal: &mut DefaultTerminal,
    sampler: &mut Sampler,
    interval: Duration,
    stop: &Stop,
) -> Result<()> {
    let mut screen = Screen {
        by: sampler.by,
        rows: Vec::new(),
        order: Order::Rate,
        paused: false,
        wanted: String::new(),
        typing: false,
        place: TableState::default(),
        lost: 0,
    };
    let mut next = Instant::now() + interval;
    let mut changed = true;
    while !stop.requested() {
        if changed {
            terminal.draw(|frame| screen.draw(frame))?;
        }
        // Signals interrupt the wait, or are seen after it.
        let wait = next
            .saturating_duration_since(Instant::now())
            .min(Duration::from_millis(100));
        let event = match input::poll(wait) {
            Ok(true) => Some(input::read()?),
            Ok(false) => None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) => return Err(error.into()),
        };
        changed = event.is_some();
        if let Some(Event::Key(key)) = event {
            if key.kind == KeyEventKind::Press && screen.key(key.code, key.modifiers) {
                break;
            }
        }
        if Instant::now() >= next {
            let mut rows = sampler.sample();
            // A sample may take longer than the interval.
            next = Instant::now() + interval;
            if !screen.paused {
                screen.order.sort(&mut rows);
                screen.rows = rows;
                screen.lost = sampler.programs.lost()?;
                changed = true;
            }
        }
    }
    Ok(())
}

/// Runs a function with the terminal in raw mode and on its alternate screen. The terminal is as
/// before after that, also if the function panics.
fn on_screen<T>(function: impl FnOnce(&mut DefaultTerminal) -> Result<T>) -> Result<T> {
    // Sets a panic hook.
    let mut terminal = ratatui::try_init()?;
    let result = function(&mut terminal);
    ratatui::restore();
    result
}

pub fn run(arguments: Top) -> Result<()> {
    let once = arguments.once || arguments.json;
    if !once && !io::stdout().is_terminal() {
        bail!("top needs a terminal: use --once or --json in a pipe");
    }
    let mode = match arguments.by {
        By::Sources => Mode::CountSources,
        _ => Mode::Count,
    };
    let stop = stop::on_signals()?;
    let programs = Programs::attach(mode, arguments.filter.compile()?)?;
    let mut sampler = Sampler::new(arguments.by, programs);
    let interval = Duration::from_secs(arguments.interval);
    if !once {
        return on_screen(|terminal| live(terminal, &mut sampler, interval, &stop));
    }
    eprintln!("iptverdict: counting for {} seconds", arguments.interval);
    while sampler.at.elapsed() < interval && !stop.requested() {
        thread::sleep(Duration::from_millis(50));
    }
    print_once(&mut sampler, arguments.json)
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    #[ignore = "a_panic_restores_the_terminal runs it"]
    fn panics_on_the_screen() {
        on_screen::<()>(|_| panic!("on purpose")).unwrap();
    }

    /// In a terminal that script(1) makes, which stty(1) describes at the end.
    #[test]
    fn a_panic_restores_the_terminal() {
        let program = env::current_exe().unwrap();
        let command = format!(
            "{} --ignored --exact top::tests::panics_on_the_screen --nocapture; stty -a",
            program.display()
        );
        let output = Command::new("script")
            .args(["--quiet", "--command", &command, "/dev/null"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let (_, screen) = output.split_once("\x1b[?1049h").expect(&output);
        let (_, after) = screen.split_once("\x1b[?1049l").expect(&output);
        assert!(after.contains("on purpose"), "{output}");
        let modes: Vec<&str> = after.split_whitespace().collect();
        for mode in ["icanon", "echo", "isig", "opost"] {
            assert!(modes.contains(&mode), "no {mode}: {output}");
        }
    }
}
