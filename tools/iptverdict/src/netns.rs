// SPDX-License-Identifier: GPL-2.0

//! Network namespaces: their names, and how to run something in one.
//!
//! An inode number is used again after its namespace is gone, a cookie is not. Events have both:
//! a namespace is found by its inode number, and believed by its cookie.

use std::{
    collections::HashMap,
    fs::{self, File},
    iter,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{anyhow, bail, Context, Result};

use crate::sys;

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

fn is(path: &Path, wanted: u32) -> bool {
    inode(path) == Some(wanted)
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

/// The first process in this namespace: its command with its PID, and the path of the namespace.
fn process_in(wanted: u32) -> Option<(String, PathBuf)> {
    processes().into_iter().find_map(|pid| {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        is(&path, wanted).then(|| {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            (format!("{}({pid})", comm.trim_end()), path)
        })
    })
}

/// The namespace that has this inode number now, and its name.
fn open(wanted: u32) -> Option<(String, File)> {
    let named = named().filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((name, path))
    });
    // The inode number of the open file counts: the path may name another one by now.
    iter::once(("host".to_owned(), PathBuf::from("/proc/self/ns/net")))
        .chain(named)
        .chain(iter::once_with(|| process_in(wanted)).flatten())
        .find_map(|(name, path)| {
            let file = is(&path, wanted).then(|| File::open(&path).ok())??;
            (file.metadata().ok()?.ino() == u64::from(wanted)).then_some((name, file))
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
        Err(_) if name == "host" => PathBuf::from("/proc/self/ns/net"),
        Err(_) => Path::new(NAMED).join(name),
    };
    let file = File::open(&path).map_err(|_| {
        anyhow!(
            "no network namespace {name}: use a name of 'ip netns', the PID of a process, or host"
        )
    })?;
    match name {
        "host" => cookie(),
        _ => cookie_of(&file).with_context(|| format!("cannot enter network namespace {name}")),
    }
}

/// The cookie of the namespace of this thread.
fn cookie() -> Result<u64> {
    let socket = sys::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let mut value = [0; 8];
    sys::getsockopt(&socket, libc::SOL_SOCKET, SO_NETNS_COOKIE, &mut value)?;
    Ok(u64::from_ne_bytes(value))
}

/// The cookie of a namespace, which a thread of its own enters.
fn cookie_of(namespace: &File) -> Result<u64> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            sys::enter_netns(namespace)?;
            cookie()
        });
        thread
            .join()
            .unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
    })
}

/// Runs a function in a network namespace, in a thread of its own. The mounts stay those of this
/// process.
pub fn run<T: Send>(id: Id, function: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    // This needs no capability.
    if cookie()? == id.cookie {
        return function();
    }
    let gone = || anyhow!("its network namespace is gone, or has neither a name nor a process");
    let (_, file) = open(id.inode).ok_or_else(gone)?;
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            sys::enter_netns(&file).context("cannot enter its network namespace")?;
            if cookie()? != id.cookie {
                bail!(gone());
            }
            function()
        });
        thread
            .join()
            .unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
    })
}
