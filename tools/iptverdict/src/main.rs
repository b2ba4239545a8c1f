// SPDX-License-Identifier: GPL-2.0

//! Shows which rule of iptables or nftables decided on a packet.

mod bpf;
mod doctor;
mod event;
mod export;
mod filter;
mod http;
mod line;
mod netns;
mod packet;
mod rules;
mod run;
mod stats;
mod stop;
mod sys;
mod tables;
mod top;
mod watch;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

/// Shows which rule of iptables or nftables decided on a packet.
///
/// It needs the verdict events: 'iptverdict doctor' says whether this machine has them.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print a line for each drop: the packet, and the rule that dropped it
    Watch(watch::Watch),
    /// Show the rules that decide on most packets, live
    Top(top::Top),
    /// Count verdicts by family, table, chain, verdict, rule or namespace
    Stats(stats::Stats),
    /// Serve counts of verdicts to Prometheus, or write them for node_exporter
    Export(export::Export),
    /// Say what this machine has, and what to install if something is missing
    Doctor,
    /// Write man pages and completions into a directory, for packages
    #[command(hide = true)]
    Generate { directory: PathBuf },
}

/// Writes the files of a package, at their paths below /usr/share.
fn generate(directory: &Path) -> Result<()> {
    let mut command = Cli::command();
    let man = directory.join("man/man1");
    fs::create_dir_all(&man)?;
    clap_mangen::generate_to(command.clone(), man)?;
    for (shell, path) in [
        (Shell::Bash, "bash-completion/completions"),
        (Shell::Zsh, "zsh/vendor-completions"),
        (Shell::Fish, "fish/vendor_completions.d"),
    ] {
        let path = directory.join(path);
        fs::create_dir_all(&path)?;
        clap_complete::generate_to(shell, &mut command, "iptverdict", path)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    sys::default_sigpipe();
    let result = match Cli::parse().command {
        Command::Watch(arguments) => watch::run(arguments),
        Command::Top(arguments) => top::run(arguments),
        Command::Stats(arguments) => stats::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Doctor => doctor::run(),
        Command::Generate { directory } => generate(&directory),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("iptverdict: {error:#}");
            ExitCode::FAILURE
        }
    }
}
