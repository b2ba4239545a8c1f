// SPDX-License-Identifier: GPL-2.0

//! The verdict event of nftables.
//!
//! C headers: [`include/net/netfilter/nf_tables.h`](srctree/include/net/netfilter/nf_tables.h),
//! [`include/trace/events/nftables.h`](srctree/include/trace/events/nftables.h)

use crate::{
    bindings,
    net::{
        netfilter::{
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

impl_tracepoint! {
    /// The `nft_verdict` event: a base chain of nftables has reached its verdict on a packet.
    ///
    /// A [`Probe`](crate::tracepoint::Probe) on it runs under RCU, on the CPU that processes the
    /// packet, and often in a softirq. It can be re-entered: by softirqs if these are enabled, and
    /// because statements such as `reject` and `dup` send packets, which traverse chains in turn.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     net::nftables::{
    ///         Event,
    ///         NftVerdict, //
    ///     },
    ///     tracepoint::Probe, //
    /// };
    ///
    /// struct Nothing;
    ///
    /// impl Probe<NftVerdict> for Nothing {
    ///     type Data = ();
    ///
    ///     fn probe(_data: (), _event: Event<'_>) {}
    /// }
    /// ```
    pub struct NftVerdict: nft_verdict(
        skb: *const bindings::sk_buff,
        state: *const bindings::nf_hook_state,
        chain: *const bindings::nft_chain,
        rule: *const bindings::nft_rule_dp,
        verdict: c_uint,
    ) -> for<'a> Event<'a> {
        // SAFETY: These are the arguments of the event, which are valid during the call, as are
        // the devices, the network namespace, and the table and the name of the chain; except that
        // `skb` and `rule` may be NULL. Nothing else accesses the packet.
        unsafe {
            Event {
                skb: if skb.is_null() { None } else { Some(SkBuff::from_raw(skb)) },
                state: HookState::from_raw(state),
                chain: Chain::from_raw(chain),
                rule: if rule.is_null() { None } else { Some(Rule::from_raw(rule)) },
                verdict: Verdict::from_raw(verdict),
            }
        }
    }
}

/// The arguments of the verdict event, valid for the duration of the call only.
///
/// A probe pays for what it uses: the compiler removes the rest.
///
/// # Examples
///
/// ```
/// use kernel::net::{
///     netfilter::Action,
///     nftables::Event, //
/// };
///
/// fn is_drop_by_policy(event: &Event<'_>) -> bool {
///     event.rule.is_none() && event.verdict.action() == Action::Drop
/// }
/// ```
#[derive(Copy, Clone)]
pub struct Event<'a> {
    /// The packet; [`None`] if it may have been freed, as after the verdict STOLEN.
    pub skb: Option<&'a SkBuff>,
    /// The hook that the packet is at, with its devices and its network namespace.
    pub state: &'a HookState,
    /// The base chain that the packet traversed.
    pub chain: &'a Chain,
    /// The deciding rule, in the base chain or in a chain that it jumped to; [`None`] for the
    /// policy of the base chain.
    pub rule: Option<&'a Rule>,
    /// The verdict.
    pub verdict: Verdict,
}

/// A base chain: a `struct nft_chain`.
///
/// # Examples
///
/// ```
/// use kernel::net::{
///     netfilter::Family,
///     nftables::Chain, //
/// };
///
/// /// Whether iptables-nft has made this table, if names mean what they say.
/// fn is_filter_of_iptables(chain: &Chain) -> bool {
///     chain.family() == Some(Family::Ipv4) && chain.table() == c"filter"
/// }
/// ```
///
/// # Invariants
///
/// For the lifetime of a reference, the chain, its name and its table are alive, and the table has
/// a name.
#[repr(transparent)]
pub struct Chain(Opaque<bindings::nft_chain>);

impl Chain {
    /// Borrows a chain from the C side.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid for `'a` and satisfy the type invariants.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     bindings,
    ///     net::nftables::Chain, //
    /// };
    ///
    /// let mut table = bindings::nft_table::default();
    /// table.name = c"filter".as_char_ptr().cast_mut();
    /// let mut raw = bindings::nft_chain::default();
    /// raw.name = c"INPUT".as_char_ptr().cast_mut();
    /// raw.table = &raw mut table;
    ///
    /// // SAFETY: `raw`, `table` and the names outlive the reference.
    /// let chain = unsafe { Chain::from_raw(&raw) };
    /// assert_eq!((chain.table(), chain.name()), (c"filter", c"INPUT"));
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::nft_chain) -> &'a Self {
        // SAFETY: By the safety requirement; the type is a transparent wrapper.
        unsafe { &*ptr.cast() }
    }

    /// Returns the name. If the chain is renamed at this moment, it is the old or the new one.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::nftables::Chain;
    ///
    /// fn is_input(chain: &Chain) -> bool {
    ///     chain.name() == c"INPUT"
    /// }
    /// ```
    #[inline]
    pub fn name(&self) -> &CStr {
        // SAFETY: The chain is valid for the lifetime of `self`, and the pointer is aligned.
        let name = unsafe { atomic_load(&raw mut (*self.0.get()).name, Relaxed) };

        // SAFETY: Renaming replaces the pointer, but never writes to the name, which stays alive
        // by the type invariants.
        unsafe { CStr::from_char_ptr(name) }
    }

    /// Returns the name of the table, which never changes.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::nftables::Chain;
    ///
    /// fn is_in_filter(chain: &Chain) -> bool {
    ///     chain.table() == c"filter"
    /// }
    /// ```
    #[inline]
    pub fn table(&self) -> &CStr {
        // SAFETY: By the type invariants.
        unsafe { CStr::from_char_ptr((*(*self.0.get()).table).name) }
    }

    /// Returns the family of the table, which may be [`Family::Inet`]; [`None`] if this crate does
    /// not know it. Family and name identify a table in its network namespace.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::{
    ///     netfilter::Family,
    ///     nftables::Chain, //
    /// };
    ///
    /// fn is_in_bridge_table(chain: &Chain) -> bool {
    ///     chain.family() == Some(Family::Bridge)
    /// }
    /// ```
    #[inline]
    pub fn family(&self) -> Option<Family> {
        // SAFETY: By the type invariants. The family is written before the chain is in use; other
        // bits of the same word may be written meanwhile, so read no more than this field.
        Family::from_raw(unsafe { (*(*self.0.get()).table).family() } as u8)
    }
}

/// A rule as it is evaluated: a `struct nft_rule_dp`.
///
/// # Examples
///
/// ```
/// use kernel::net::nftables::{
///     Event,
///     Rule, //
/// };
///
/// fn is_decided_by(event: &Event<'_>, handle: u64) -> bool {
///     event.rule.map(Rule::handle) == Some(handle)
/// }
/// ```
#[repr(transparent)]
pub struct Rule(Opaque<bindings::nft_rule_dp>);

impl Rule {
    /// Borrows a rule from the C side.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid for `'a`, and nothing may write to the rule meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     bindings,
    ///     net::nftables::Rule, //
    /// };
    ///
    /// let mut raw = bindings::nft_rule_dp::default();
    /// raw.set_handle(7);
    ///
    /// // SAFETY: `raw` outlives the reference.
    /// let rule = unsafe { Rule::from_raw(&raw) };
    /// assert_eq!(rule.handle(), 7);
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::nft_rule_dp) -> &'a Self {
        // SAFETY: By the safety requirement; the type is a transparent wrapper.
        unsafe { &*ptr.cast() }
    }

    /// Returns the handle, as in `nft -a list ruleset`: unique in its table, and never reused while
    /// the table exists.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::nftables::Rule;
    ///
    /// fn is_newer(one: &Rule, other: &Rule) -> bool {
    ///     one.handle() > other.handle()
    /// }
    /// ```
    #[inline]
    pub fn handle(&self) -> u64 {
        // SAFETY: The rule is valid for the lifetime of `self`, and not written to.
        unsafe { (*self.0.get()).handle() }
    }
}

#[cfg(CONFIG_RUST_NETFILTER_KUNIT_TEST)]
#[macros::kunit_tests(rust_nftables)]
mod tests {
    use super::*;

    #[test]
    fn chain_and_table() {
        let mut table = bindings::nft_table {
            name: c"nat".as_char_ptr().cast_mut(),
            ..Default::default()
        };
        table.set_family(bindings::NFPROTO_INET as u16);
        table.set_flags(0xff);
        let mut raw = bindings::nft_chain {
            name: c"OUTPUT".as_char_ptr().cast_mut(),
            table: &raw mut table,
            ..Default::default()
        };

        {
            // SAFETY: `raw`, `table` and the names outlive the reference.
            let chain = unsafe { Chain::from_raw(&raw) };
            assert!(chain.table() == c"nat" && chain.name() == c"OUTPUT");
            assert_eq!(chain.family(), Some(Family::Inet));
        }

        table.set_family(0x3f);
        raw.name = c"".as_char_ptr().cast_mut();
        // SAFETY: As above.
        let chain = unsafe { Chain::from_raw(&raw) };
        assert!(chain.name().to_bytes().is_empty());
        assert_eq!(chain.family(), None);
    }

    #[test]
    fn handles() {
        let mut raw = bindings::nft_rule_dp::default();
        for handle in [0, 1, u64::from(u32::MAX) + 1, (1 << 42) - 1] {
            raw.set_handle(handle);
            raw.set_dlen(0xfff);
            raw.set_is_last(handle & 1);
            // SAFETY: `raw` outlives the reference.
            assert_eq!(unsafe { Rule::from_raw(&raw) }.handle(), handle);
        }
    }
}
