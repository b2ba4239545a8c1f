// SPDX-License-Identifier: GPL-2.0

//! IPv4 iptables, and the event that tells its verdicts.
//!
//! C header: [`include/trace/events/iptables.h`](srctree/include/trace/events/iptables.h)

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

define_tracepoint! {
    /// The `ipt_verdict` event: a table has reached its verdict on a packet.
    ///
    /// A [`Probe`](crate::tracepoint::Probe) on it runs with softirqs disabled, on the CPU that
    /// processes the packet. It can be called from within itself, because targets such as REJECT
    /// send packets, which traverse tables of their own.
    pub struct IptVerdict: ipt_verdict(
        skb: *const bindings::sk_buff,
        state: *const bindings::nf_hook_state,
        table: *const bindings::xt_table,
        _rule: *const bindings::ipt_entry,
        verdict: c_uint,
    ) -> for<'a> Event<'a> {
        // SAFETY: These are the arguments of the event, which are valid during the call; `skb` is
        // NULL if it is not.
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

/// What [`IptVerdict`] tells a probe, valid for the call only.
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
