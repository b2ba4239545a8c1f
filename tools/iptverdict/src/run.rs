// SPDX-License-Identifier: GPL-2.0

//! Runs the programs that list rules.

use std::{
    io,
    process::{Command, Stdio},
};

use anyhow::{anyhow, bail, Result};

/// After so many seconds a program is killed.
const LIMIT: u32 = 10;
/// The status of timeout for that.
const TIMED_OUT: i32 = 124;

/// Runs a program, and returns its output.
pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new("timeout")
        .arg("--kill-after=1")
        .arg(LIMIT.to_string())
        .arg(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow!("timeout is not installed (coreutils)"),
            _ => error.into(),
        })?;
    if output.status.code() == Some(TIMED_OUT) {
        bail!("{program} did not end within {LIMIT} seconds");
    }
    if output.status.code() == Some(127) {
        bail!("{program} is not installed");
    }
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        bail!("{program}: {}", message.lines().next().unwrap_or("failed"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
