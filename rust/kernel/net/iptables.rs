// SPDX-License-Identifier: GPL-2.0

//! The verdict events of iptables, ip6tables and arptables.
//!
//! C headers: [`include/trace/events/iptables.h`](srctree/include/trace/events/iptables.h),
//! [`include/trace/events/ip6tables.h`](srctree/include/trace/events/ip6tables.h),
//! [`include/trace/events/arptables.h`](srctree/include/trace/events/arptables.h)

use crate::{
    bindings,
    net::{
        netfilter::{
            cold_path,
            HookState,
            Verdict, //
        },
        SkBuff, //
    },
    prelude::*,
    tracepoint::define_tracepoint,
    types::Opaque, //
};

macro_rules! verdict_event {
    ($(#[$attr:meta])* $name:ident: $event:ident($rule:ident)) => {
        define_tracepoint! {
            $(#[$attr])*
            ///
            /// A [`Probe`](crate::tracepoint::Probe) on it runs with softirqs disabled, on the
            /// CPU that processes the packet. It can be re-entered, because targets such as REJECT
            /// send packets, which traverse tables in turn.
            ///
            /// # Examples
            ///
            /// ```
            /// use kernel::{
            ///     net::iptables::{
            ///         self,
            ///         Event, //
            ///     },
            ///     tracepoint::Probe, //
            /// };
            ///
            /// struct Nothing;
            ///
            #[doc = concat!("impl Probe<iptables::", stringify!($name), "> for Nothing {")]
            ///     fn probe(&self, _event: Event<'_>) {}
            /// }
            /// ```
            pub struct $name: $event(
                skb: *const bindings::sk_buff,
                state: *const bindings::nf_hook_state,
                table: *const bindings::xt_table,
                _rule: *const bindings::$rule,
                verdict: c_uint,
            ) -> for<'a> Event<'a> {
                // SAFETY: These are the arguments of the event, which are valid during the call,
                // except that `skb` may be NULL.
                unsafe {
                    Event {
                        skb: if skb.is_null() { None } else { Some(SkBuff::from_raw(skb)) },
                        state: HookState::from_raw(state),
                        table: Table::from_raw(table),
                        verdict: Verdict::from_raw(verdict),
                    }
                }
            }
        }
    };
}

#[cfg(CONFIG_IP_NF_IPTABLES_LEGACY)]
verdict_event! {
    /// The `ipt_verdict` event: an IPv4 table has reached its verdict on a packet.
    IptVerdict: ipt_verdict(ipt_entry)
}

#[cfg(CONFIG_IP6_NF_IPTABLES_LEGACY)]
verdict_event! {
    /// The `ip6t_verdict` event: an IPv6 table has reached its verdict on a packet.
    Ip6tVerdict: ip6t_verdict(ip6t_entry)
}

#[cfg(CONFIG_IP_NF_ARPTABLES)]
verdict_event! {
    /// The `arpt_verdict` event: an ARP table has reached its verdict on a packet.
    ArptVerdict: arpt_verdict(arpt_entry)
}

/// The arguments of a verdict event, valid for the duration of the call only.
///
/// # Examples
///
/// ```
/// use kernel::net::{
///     iptables::{
///         Event,
///         TableKind, //
///     },
///     netfilter::Action, //
/// };
///
/// fn is_drop_by_filter(event: &Event<'_>) -> bool {
///     event.table.kind() == TableKind::Filter && event.verdict.action() == Action::Drop
/// }
/// ```
#[derive(Copy, Clone)]
pub struct Event<'a> {
    /// The packet; [`None`] if the verdict is STOLEN.
    pub skb: Option<&'a SkBuff>,
    /// The hook that the packet is at.
    pub state: &'a HookState,
    /// The table that it traversed.
    pub table: &'a Table,
    /// The verdict.
    pub verdict: Verdict,
}

/// A table of a network namespace: a `struct xt_table`.
///
/// # Examples
///
/// ```
/// use kernel::{
///     bindings,
///     net::iptables::{
///         Table,
///         TableKind, //
///     }, //
/// };
///
/// let mut raw = bindings::xt_table::default();
/// raw.name[..4].copy_from_slice(b"nat\0");
///
/// // SAFETY: `raw` outlives the reference.
/// let table = unsafe { Table::from_raw(&raw) };
/// assert_eq!(table.kind(), TableKind::Nat);
/// assert!(table.name().starts_with(b"nat\0"));
/// ```
#[repr(transparent)]
pub struct Table(Opaque<bindings::xt_table>);

impl Table {
    /// Borrows a table from the C side.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid for `'a`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::{bindings, net::iptables::Table};
    /// let raw = bindings::xt_table::default();
    ///
    /// // SAFETY: `raw` outlives the reference.
    /// let table = unsafe { Table::from_raw(&raw) };
    /// assert_eq!(table.name()[0], 0);
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::xt_table) -> &'a Self {
        // SAFETY: By the safety requirement; the type is a transparent wrapper.
        unsafe { &*ptr.cast() }
    }

    /// Returns the name, padded with zeroes.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::iptables::Table;
    ///
    /// fn is_filter(table: &Table) -> bool {
    ///     table.name().starts_with(b"filter\0")
    /// }
    /// ```
    #[inline]
    pub fn name(&self) -> &[u8; bindings::XT_TABLE_MAXNAMELEN as usize] {
        // SAFETY: The table is valid for the lifetime of `self`, and its name never changes.
        unsafe { &(*self.0.get()).name }
    }

    /// Returns which of the in-tree tables this is.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::iptables::{
    ///     Table,
    ///     TableKind, //
    /// };
    ///
    /// fn changes_addresses(table: &Table) -> bool {
    ///     table.kind() == TableKind::Nat
    /// }
    /// ```
    #[inline]
    pub fn kind(&self) -> TableKind {
        TableKind::from_name(self.name())
    }
}

/// The kind of a [`Table`]: one of the in-tree tables, or any other table.
///
/// The values are below eight, so that they can serve as an array index.
///
/// # Examples
///
/// ```
/// use kernel::net::iptables::TableKind;
///
/// let mut name = [0; 32];
/// name[..8].copy_from_slice(b"security");
/// assert_eq!(TableKind::from_name(&name), TableKind::Security);
///
/// name[8] = b'2';
/// assert_eq!(TableKind::from_name(&name), TableKind::Other);
/// assert_eq!(TableKind::Other.name(), "other");
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum TableKind {
    /// Traversed before connection tracking.
    Raw = TableKind::hash(b"raw"),
    /// Alters packets.
    Mangle = TableKind::hash(b"mangle"),
    /// Translates addresses; traversed by the first packet of a connection only.
    Nat = TableKind::hash(b"nat"),
    /// Filters packets.
    Filter = TableKind::hash(b"filter"),
    /// Labels packets for security modules.
    Security = TableKind::hash(b"security"),
    /// Any other table.
    Other = 0,
}

impl TableKind {
    /// All kinds, in the order in which a packet traverses them.
    pub const ALL: [Self; 6] = [
        Self::Raw,
        Self::Mangle,
        Self::Nat,
        Self::Filter,
        Self::Security,
        Self::Other,
    ];

    /// Returns three bits in which the names of the tables differ, so that one comparison is enough
    /// to identify a table. The compiler rejects the enum if two values are the same.
    #[inline(always)]
    const fn hash(name: &[u8]) -> u8 {
        (name[2] >> 1) & 7
    }

    /// Returns the first bytes of a name.
    const fn word(name: &[u8]) -> u64 {
        let mut word = [0; 8];
        let mut i = 0;
        while i < name.len() && i < word.len() {
            word[i] = name[i];
            i += 1;
        }
        u64::from_ne_bytes(word)
    }

    /// The names that fit into a word with their terminating zero, by hash. An entry without a name
    /// has a value that no table with that hash can have.
    const WORDS: [u64; 8] = {
        let mut words = [0; 8];
        let mut i = 0;
        while i < Self::ALL.len() {
            let kind = Self::ALL[i];
            if kind.name().len() < 8 && !matches!(kind, Self::Other) {
                words[kind as usize] = Self::word(kind.name().as_bytes());
            }
            i += 1;
        }
        words
    };

    /// Returns the kind of the table with the name `name`, which is padded with zeroes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::iptables::TableKind;
    /// let mut name = [0; 32];
    /// name[..3].copy_from_slice(b"raw");
    /// assert_eq!(TableKind::from_name(&name), TableKind::Raw);
    /// ```
    #[inline]
    pub fn from_name(name: &[u8; bindings::XT_TABLE_MAXNAMELEN as usize]) -> Self {
        static WORDS: [u64; 8] = TableKind::WORDS;

        let (first, rest) = name.split_first_chunk().unwrap();
        let first = u64::from_ne_bytes(*first);
        let hash = Self::hash(name);
        if first == WORDS[usize::from(hash)] {
            // SAFETY: A word that is not zero is at an index that is the value of a variant. A
            // name that begins with a word of zeroes has the hash 0, which is `Other`.
            return unsafe { core::mem::transmute::<u8, Self>(hash) };
        }

        cold_path();
        if first == const { Self::word(b"security") } && rest[0] == 0 {
            Self::Security
        } else {
            Self::Other
        }
    }

    /// Returns the name that iptables uses, or `other` for any other table.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::iptables::TableKind;
    /// let names = TableKind::ALL.map(TableKind::name);
    /// assert_eq!(names, ["raw", "mangle", "nat", "filter", "security", "other"]);
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Mangle => "mangle",
            Self::Nat => "nat",
            Self::Filter => "filter",
            Self::Security => "security",
            Self::Other => "other",
        }
    }
}

#[cfg(CONFIG_RUST_NETFILTER_KUNIT_TEST)]
#[macros::kunit_tests(rust_iptables)]
mod tests {
    use super::*;

    fn kind(name: &[u8]) -> TableKind {
        let mut filled = [0; bindings::XT_TABLE_MAXNAMELEN as usize];
        filled[..name.len()].copy_from_slice(name);
        TableKind::from_name(&filled)
    }

    #[test]
    fn in_tree_tables() {
        for (name, expected) in [
            ("raw", TableKind::Raw),
            ("mangle", TableKind::Mangle),
            ("nat", TableKind::Nat),
            ("filter", TableKind::Filter),
            ("security", TableKind::Security),
        ] {
            assert_eq!(kind(name.as_bytes()), expected);
            assert_eq!(expected.name(), name);
        }
        for kind in TableKind::ALL {
            assert!((kind as usize) < 8);
        }
    }

    #[test]
    fn other_tables() {
        for name in [
            "",
            "f",
            "other",
            "filte",
            "filter2",
            "securit",
            "security2",
            "securityX",
            "broute",
            "a table with a name of 31 bytes",
        ] {
            assert_eq!(kind(name.as_bytes()), TableKind::Other);
        }
    }

    #[test]
    fn names_that_differ_in_one_byte() {
        for known in TableKind::ALL {
            let known = known.name().as_bytes();
            // Includes the terminating zero.
            for place in 0..=known.len() {
                for byte in 1..=u8::MAX {
                    let mut name = [0; 16];
                    name[..known.len()].copy_from_slice(known);
                    if name[place] != byte {
                        name[place] = byte;
                        assert_eq!(kind(&name), TableKind::Other);
                    }
                }
            }
        }
    }
}
