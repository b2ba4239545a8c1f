// SPDX-License-Identifier: GPL-2.0
//! A tracepoint definition with a wrong argument type: in C, `rule` is a `struct ipt_entry`.
// error[E0308]: mismatched types

use kernel::{
    bindings,
    prelude::*,
    tracepoint::impl_tracepoint, //
};

impl_tracepoint! {
    /// A verdict.
    pub struct IptVerdict: ipt_verdict(
        _skb: *const bindings::sk_buff,
        _state: *const bindings::nf_hook_state,
        _table: *const bindings::xt_table,
        _rule: *const bindings::ip6t_entry,
        verdict: c_uint,
    ) -> for<'a> u32 {
        verdict
    }
}
