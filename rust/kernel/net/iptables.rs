// SPDX-License-Identifier: GPL-2.0

//! iptables, ip6tables and arptables, and the events that tell their verdicts.
//!
//! C headers: [`include/trace/events/iptables.h`](srctree/include/trace/events/iptables.h),
//! [`include/trace/events/ip6tables.h`](srctree/include/trace/events/ip6tables.h),
//! [`include/trace/events/arptables.h`](srctree/include/trace/events/arptables.h)

use crate::{
    bindings,
    net::{
        netfilter::{
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
            /// CPU that processes the packet. It can be called from within itself, because targets
            /// such as REJECT send packets, which traverse tables of their own.
            pub struct $name: $event(
                skb: *const bindings::sk_buff,
                state: *const bindings::nf_hook_state,
                table: *const bindings::xt_table,
                _rule: *const bindings::$rule,
                verdict: c_uint,
            ) -> for<'a> Event<'a> {
                // SAFETY: These are the arguments of the event, which are valid during the call;
                // `skb` is NULL if it is not.
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

/// What the events of this module tell a probe, valid for the call only.
#[derive(Copy, Clone)]
pub struct Event<'a> {
    /// The packet; [`None`] if the verdict is that it was stolen.
    pub skb: Option<&'a SkBuff>,
    /// Where the packet is.
    pub state: &'a HookState,
    /// The table that it has traversed.
    pub table: &'a Table,
    /// The verdict.
    pub verdict: Verdict,
}

/// A table of a network namespace: a `struct xt_table`.
#[repr(transparent)]
pub struct Table(Opaque<bindings::xt_table>);

impl Table {
    /// Borrows a table from the C side.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::xt_table) -> &'a Self {
        // SAFETY: By the safety requirement; the type is a transparent wrapper.
        unsafe { &*ptr.cast() }
    }

    /// Returns the name, filled up with zeroes.
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
}
