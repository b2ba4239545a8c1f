// SPDX-License-Identifier: GPL-2.0

//! Network namespaces: their names, and how to run something in one.
//!
//! An inode number is used again after its namespace is gone, a cookie is not. Events have both:
//! a namespace is found by its inode number, and believed by its cookie.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    iter,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{anyhow, bail, Context, Result};

use crate::sys;

const OWN: &str = "/proc/self/ns/net";
const NAMED: &str = "/run/netns";
const SO_NETNS_COOKIE: i32 = 71;

/// A network namespace, as an event names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Id {
    pub inode: u32,
    pub cookie: u64,
}

/// So many names are kept.
const NAMES: usize = 4096;

/// Names of network namespaces, each looked up once.
#[derive(Default)]
pub struct Names(HashMap<Id, String>);

impl Names {
    /// The name: as `ip netns` has it, `host` for that of this process, or else that of the
    /// first process in it.
    pub fn get(&mut self, id: Id) -> &str {
        if self.0.len() >= NAMES && !self.0.contains_key(&id) {
            self.0.clear();
        }
        self.0.entry(id).or_insert_with(|| name(id))
    }
}

fn inode(path: &Path) -> Option<u32> {
    u32::try_from(fs::metadata(path).ok()?.ino()).ok()
}

fn named() -> impl Iterator<Item = PathBuf> {
    fs::read_dir(NAMED)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
}

/// The processes, with the lowest PID first.
fn processes() -> Vec<u32> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// The files of network namespaces: that of this process, those with a name, those of processes.
fn files() -> impl Iterator<Item = PathBuf> {
    let of_processes = iter::once_with(processes).flatten();
    iter::once(PathBuf::from(OWN))
        .chain(iter::once_with(named).flatten())
        .chain(of_processes.map(|pid| PathBuf::from(format!("/proc/{pid}/ns/net"))))
}

fn name_of(file: &Path) -> String {
    if file == Path::new(OWN) {
        return "host".to_owned();
    }
    match file
        .strip_prefix("/proc")
        .ok()
        .and_then(|rest| rest.iter().next())
    {
        Some(pid) => {
            let pid = pid.to_string_lossy();
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("{}({pid})", comm.trim_end())
        }
        None => file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    }
}

/// The namespace that has this inode number now, and its name.
fn open(wanted: u32) -> Option<(String, File)> {
    // The inode number of the open file counts: the path may name another one by now.
    files().find_map(|path| {
        let file = (inode(&path) == Some(wanted)).then(|| File::open(&path).ok())??;
        (file.metadata().ok()?.ino() == u64::from(wanted)).then(|| (name_of(&path), file))
    })
}

fn name(id: Id) -> String {
    if cookie().is_ok_and(|cookie| cookie == id.cookie) {
        return "host".to_owned();
    }
    match open(id.inode) {
        // Another namespace may have this inode number by now.
        Some((name, file)) if !cookie_of(&file).is_ok_and(|cookie| cookie != id.cookie) => name,
        _ => id.inode.to_string(),
    }
}

/// Finds the cookie of a namespace by its name, or by the PID of a process in it.
pub fn find(name: &str) -> Result<u64> {
    let path = match name.parse::<u32>() {
        Ok(pid) => PathBuf::from(format!("/proc/{pid}/ns/net")),
        Err(_) if name == "host" => PathBuf::from(OWN),
        Err(_) => Path::new(NAMED).join(name),
    };
    let file = File::open(&path).map_err(|_| {
        anyhow!(
            "no network namespace {name}: use a name of 'ip netns', the PID of a process, or host"
        )
    })?;
    match name {
        "host" => cookie(),
        _ => cookie_of(&file).with_context(|| format!("--netns {name}")),
    }
}

/// The cookie of the namespace of this thread.
fn cookie() -> Result<u64> {
    let socket = sys::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let mut value = [0; 8];
    sys::getsockopt(&socket, libc::SOL_SOCKET, SO_NETNS_COOKIE, &mut value)?;
    Ok(u64::from_ne_bytes(value))
}

fn cookie_of(namespace: &File) -> Result<u64> {
    within(namespace, cookie)
}

/// Runs a function in a network namespace, in a thread of its own. The mounts stay those of this
/// process.
fn within<T: Send>(namespace: &File, function: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            sys::enter_netns(namespace).context("cannot enter its network namespace")?;
            function()
        });
        thread
            .join()
            .unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
    })
}

/// Runs a function in each network namespace that has a name or a process, first in that of this
/// process, and leaves out those that this process may not enter. Lazy: each may run programs.
pub fn each<T: Send>(function: impl Fn() -> T + Sync) -> impl Iterator<Item = (String, T)> {
    let mut seen = HashSet::new();
    files()
        .filter(move |path| inode(path).is_some_and(|inode| seen.insert(inode)))
        .filter_map(move |path| {
            let result = match path == Path::new(OWN) {
                // This needs no capability.
                true => function(),
                false => within(&File::open(&path).ok()?, || Ok(function())).ok()?,
            };
            Some((name_of(&path), result))
        })
}

/// Runs a function in a network namespace that an event names.
pub fn run<T: Send>(id: Id, function: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    // This needs no capability.
    if cookie()? == id.cookie {
        return function();
    }
    let gone = || anyhow!("its network namespace is gone, or has neither a name nor a process");
    let (_, file) = open(id.inode).ok_or_else(gone)?;
    within(&file, || {
        if cookie()? != id.cookie {
            bail!(gone());
        }
        function()
    })
}
