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
            Family,
            HookState,
            Verdict, //
        },
        SkBuff, //
    },
    prelude::*,
    sync::atomic::{
        atomic_load,
        Relaxed, //
    },
    tracepoint::impl_tracepoint,
    types::Opaque, //
};

macro_rules! verdict_event {
    ($(#[$attr:meta])* $name:ident: $event:ident($entry:ident), $family:ident) => {
        impl_tracepoint! {
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
            ///     type Data = ();
            ///
            ///     fn probe(_data: (), _event: Event<'_>) {}
            /// }
            /// ```
            pub struct $name: $event(
                skb: *const bindings::sk_buff,
                state: *const bindings::nf_hook_state,
                table: *const bindings::xt_table,
                rule: *const bindings::$entry,
                verdict: c_uint,
            ) -> for<'a> Event<'a> {
                // SAFETY: These are the arguments of the event, which are valid during the call,
                // as are the devices, the network namespace, the ruleset of the table and the
                // target of the rule; except that `skb` and `rule` may be NULL. Nothing else
                // accesses the packet.
                unsafe {
                    let (state, table) = (HookState::from_raw(state), Table::from_raw(table));
                    Event {
                        family: Family::$family,
                        skb: if skb.is_null() { None } else { Some(SkBuff::from_raw(skb)) },
                        state,
                        table,
                        rule: Rule::from_raw(Family::$family, rule.cast(), table, state),
                        verdict: Verdict::from_raw(verdict),
                    }
                }
            }
        }
    };
}

verdict_event! {
    /// The `ipt_verdict` event: an IPv4 table has reached its verdict on a packet.
    IptVerdict: ipt_verdict(ipt_entry), Ipv4
}

verdict_event! {
    /// The `ip6t_verdict` event: an IPv6 table has reached its verdict on a packet.
    Ip6tVerdict: ip6t_verdict(ip6t_entry), Ipv6
}

verdict_event! {
    /// The `arpt_verdict` event: an ARP table has reached its verdict on a packet.
    ArptVerdict: arpt_verdict(arpt_entry), Arp
}

/// The arguments of a verdict event, valid for the duration of the call only.
///
/// A probe pays for what it uses: the compiler removes the rest.
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
    /// The family of the table: IPv4, IPv6 or ARP.
    pub family: Family,
    /// The packet; [`None`] if it may have been freed, as after the verdict STOLEN.
    pub skb: Option<&'a SkBuff>,
    /// The hook that the packet is at, with its devices and its network namespace.
    pub state: &'a HookState,
    /// The table that it traversed.
    pub table: &'a Table,
    /// The deciding rule; [`None`] for a packet that is too short for an ARP header.
    pub rule: Option<Rule<'a>>,
    /// The verdict.
    pub verdict: Verdict,
}

/// The rule that decided, or the policy of a built-in chain: a `struct ipt_entry`, `ip6t_entry` or
/// `arpt_entry`.
///
/// # Examples
///
/// A probe that counts what REJECT rejects.
///
/// ```
/// use kernel::{
///     net::iptables::{
///         Event,
///         Rule, //
///     },
///     percpu::{
///         PerCpu,
///         PerCpuPtr, //
///     },
///     tracepoint::{
///         Probe,
///         Tracepoint, //
///     }, //
/// };
///
/// fn is_reject(rule: Rule<'_>) -> bool {
///     rule.target() == c"REJECT"
/// }
///
/// struct Rejected;
///
/// impl<T> Probe<T> for Rejected
/// where
///     T: for<'a> Tracepoint<Args<'a> = Event<'a>>,
/// {
///     type Data = PerCpu<usize>;
///
///     fn probe(rejected: PerCpuPtr<'_, usize>, event: Event<'_>) {
///         if event.rule.is_some_and(is_reject) {
///             rejected.this_cpu_add(1);
///         }
///     }
/// }
/// ```
///
/// # Invariants
///
/// `entry` is an entry of `family`, which is IPv4, IPv6 or ARP, in a ruleset that `table` has or
/// had. For `'a`, this ruleset, the one that the table has, and the target of the entry are alive.
#[derive(Copy, Clone)]
pub struct Rule<'a> {
    family: Family,
    entry: *const c_void,
    table: &'a Table,
    state: &'a HookState,
}

/// Where a [`Rule`] is in the ruleset of its table.
///
/// # Examples
///
/// ```
/// use kernel::net::iptables::Position;
///
/// fn is_policy_or_first(position: Position) -> bool {
///     position.policy || position.offset == 0
/// }
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// The number of the ruleset: never reused, and higher for the next one of the table.
    pub ruleset: u64,
    /// The offset in bytes in the ruleset, as iptables reads it from the kernel by
    /// `IPT_SO_GET_ENTRIES`.
    pub offset: u32,
    /// Whether the rule is the policy of the chain of the hook.
    pub policy: bool,
}

impl<'a> Rule<'a> {
    /// Borrows a rule from the C side, or returns [`None`] for NULL.
    ///
    /// # Safety
    ///
    /// If `entry` is not NULL, it must satisfy the type invariants, and `state` be the hook that a
    /// packet is at when the rule decides about it.
    #[inline]
    unsafe fn from_raw(
        family: Family,
        entry: *const c_void,
        table: &'a Table,
        state: &'a HookState,
    ) -> Option<Self> {
        // INVARIANT: By the safety requirement.
        (!entry.is_null()).then_some(Self {
            family,
            entry,
            table,
            state,
        })
    }

    /// Returns where the rule is in the ruleset that the table has now, or [`None`] if the ruleset
    /// was replaced after the rule was evaluated.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::iptables::Rule;
    ///
    /// fn is_policy(rule: Rule<'_>) -> Option<bool> {
    ///     Some(rule.position()?.policy)
    /// }
    /// ```
    #[inline]
    pub fn position(&self) -> Option<Position> {
        let table = self.table.0.get();
        // Read once: the ruleset may be replaced between two reads.
        //
        // SAFETY: The table is alive, and the pointer is aligned.
        let ruleset = unsafe { atomic_load(&raw mut (*table).private, Relaxed) };

        // SAFETY: By the type invariants, the ruleset of the table is alive, and it is not written
        // to.
        let (cookie, entries, size, underflow) = unsafe {
            (
                (*ruleset).cookie,
                (&raw const (*ruleset).entries).addr(),
                (*ruleset).size,
                &(*ruleset).underflow,
            )
        };

        // Also if the rule is in another ruleset: it is alive too, so it is elsewhere in memory.
        let offset = self.entry.addr().wrapping_sub(entries);
        if offset >= size as usize {
            return None;
        }
        let offset = offset as u32;
        Some(Position {
            ruleset: cookie,
            offset,
            policy: underflow.get(usize::from(self.state.number())) == Some(&offset),
        })
    }

    /// Returns the name of the target, such as `REJECT`; the empty string for the standard target
    /// (ACCEPT, DROP, RETURN and policies), and `ERROR` at the end of the ruleset.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::iptables::Rule;
    ///
    /// fn is_extension(rule: Rule<'_>) -> bool {
    ///     !rule.target().is_empty()
    /// }
    /// ```
    #[inline]
    pub fn target(&self) -> &'a CStr {
        // SAFETY: By the type invariants, the entry is one of its family; its target follows at
        // this offset and refers to a registered target, whose name is a constant string.
        unsafe {
            let offset = match self.family {
                Family::Ipv4 => (*self.entry.cast::<bindings::ipt_entry>()).target_offset,
                Family::Ipv6 => (*self.entry.cast::<bindings::ip6t_entry>()).target_offset,
                _ => (*self.entry.cast::<bindings::arpt_entry>()).target_offset,
            };
            let target = self.entry.byte_add(usize::from(offset));
            let target = target.cast::<bindings::xt_entry_target>();
            let target = (*target).u.kernel.target;
            CStr::from_char_ptr((&raw const (*target).name).cast())
        }
    }
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
/// The values are even and below 16.
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
    Security = 4,
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

    /// Returns three bits in which the names of the in-tree tables differ, so that one comparison
    /// is enough to identify a table. They are the values of the enum, except for `security`.
    #[inline(always)]
    const fn hash(name: &[u8]) -> u8 {
        name[0] & 14
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

    /// The names that fit into a word with their terminating zero, by hash; zero for the rest.
    const WORDS: [u64; 16] = {
        let mut words = [0; 16];
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
        // A constant, not a static: a static would be a symbol of the kernel crate.
        const WORDS: &[u64; 16] = &TableKind::WORDS;

        let (first, rest) = name.split_first_chunk().unwrap();
        let first = u64::from_ne_bytes(*first);
        let hash = Self::hash(name);
        if first == WORDS[usize::from(hash)] {
            // SAFETY: The hash is the value of a variant, by the proof below: either the word is
            // not zero, or the name begins with zeroes, and its hash is 0.
            return unsafe { core::mem::transmute::<u8, Self>(hash) };
        }

        cold_path();
        if first == const { Self::word(b"security") } && rest[0] == 0 {
            Self::Security
        } else {
            Self::Other
        }
    }

    /// Returns a number below 8 that no other kind has, for an array index of three bits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::iptables::TableKind;
    /// assert!(TableKind::ALL.iter().all(|kind| kind.slot() < 8));
    /// ```
    #[inline]
    pub const fn slot(self) -> u8 {
        self as u8 >> 1
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
    #[inline]
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

// Proof for `TableKind::from_name()`: a hash with a word is the value of the variant with that
// name, and the hash 0, which has no word, is the value of a variant, too.
const _: () = {
    let mut hash = 0;
    while hash < TableKind::WORDS.len() {
        let mut is_variant = false;
        let mut i = 0;
        while i < TableKind::ALL.len() {
            let kind = TableKind::ALL[i];
            if kind as usize == hash {
                let word = TableKind::word(kind.name().as_bytes());
                is_variant = hash == 0 || TableKind::WORDS[hash] == word;
            }
            i += 1;
        }
        assert!(is_variant || TableKind::WORDS[hash] == 0);
        hash += 1;
    }
    assert!(TableKind::WORDS[0] == 0 && TableKind::Other as usize == 0);
};

#[cfg(CONFIG_RUST_NETFILTER_KUNIT_TEST)]
#[macros::kunit_tests(rust_iptables)]
mod tests {
    use super::*;
    use crate::net::netfilter::Hook;
    use core::mem::offset_of;

    fn kind(name: &[u8]) -> TableKind {
        let mut filled = [0; bindings::XT_TABLE_MAXNAMELEN as usize];
        filled[..name.len()].copy_from_slice(name);
        TableKind::from_name(&filled)
    }

    #[repr(C)]
    struct Entry {
        entry: bindings::ipt_entry,
        target: bindings::xt_standard_target,
    }

    /// A ruleset of two entries, the second of which is the policy of FORWARD.
    #[repr(C)]
    struct Ruleset {
        info: bindings::xt_table_info,
        entries: [Entry; 2],
    }

    impl Ruleset {
        const POLICY: u32 = size_of::<Entry>() as u32;

        fn new(targets: &[bindings::xt_target; 2]) -> Result<KBox<Self>> {
            let mut info = bindings::xt_table_info {
                size: size_of::<[Entry; 2]>() as c_uint,
                cookie: 42,
                underflow: [c_uint::MAX; 5],
                ..Default::default()
            };
            info.underflow[Hook::Forward as usize] = Self::POLICY;

            let entries = targets.each_ref().map(|target| {
                let mut entry = Entry {
                    entry: Default::default(),
                    target: Default::default(),
                };
                entry.entry.target_offset = offset_of!(Entry, target) as u16;
                entry.target.target.u.kernel.target = core::ptr::from_ref(target).cast_mut();
                entry
            });
            Ok(KBox::new(Self { info, entries }, GFP_KERNEL)?)
        }

        /// Calls `f` with the rule `entry`, which decides at `hook` while the table has `self`.
        fn with<R>(&self, hook: Hook, entry: &Entry, f: impl FnOnce(Rule<'_>) -> R) -> Option<R> {
            let table = bindings::xt_table {
                private: core::ptr::from_ref(&self.info).cast_mut(),
                ..Default::default()
            };
            let state = bindings::nf_hook_state {
                hook: hook as u8,
                net: &raw mut bindings::init_net,
                ..Default::default()
            };

            // SAFETY: All of these are valid, and not written to, during the call of `f`.
            let rule = unsafe {
                Rule::from_raw(
                    Family::Ipv4,
                    core::ptr::from_ref(entry).cast(),
                    Table::from_raw(&table),
                    HookState::from_raw(&state),
                )
            };
            rule.map(f)
        }
    }

    #[test]
    fn position_and_target_of_a_rule() -> Result {
        let mut targets = [
            bindings::xt_target::default(),
            bindings::xt_target::default(),
        ];
        targets[0].name[..7].copy_from_slice(b"REJECT\0");
        let (now, old) = (Ruleset::new(&targets)?, Ruleset::new(&targets)?);
        let policy = Ruleset::POLICY;

        for (hook, entry, expected) in [
            (Hook::Forward, &now.entries[0], Some((0, false))),
            (Hook::Forward, &now.entries[1], Some((policy, true))),
            (Hook::LocalIn, &now.entries[1], Some((policy, false))),
            // Of a ruleset that was replaced.
            (Hook::Forward, &old.entries[0], None),
            (Hook::Forward, &old.entries[1], None),
        ] {
            let position = now.with(hook, entry, |rule| rule.position());
            let expected = expected.map(|(offset, policy)| Position {
                ruleset: 42,
                offset,
                policy,
            });
            assert_eq!(position, Some(expected));
        }

        let target = |entry| now.with(Hook::Forward, entry, |rule| rule.target().to_bytes().len());
        assert_eq!(target(&old.entries[0]), Some("REJECT".len()));
        assert_eq!(target(&now.entries[1]), Some(0));
        Ok(())
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
            assert!((kind as usize) < 16 && kind as usize % 2 == 0);
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
