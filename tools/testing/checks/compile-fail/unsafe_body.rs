// SPDX-License-Identifier: GPL-2.0
//! A tracepoint definition whose body reads an argument without an `unsafe` block.
// error[E0133]: dereference of raw pointer is unsafe
#![allow(unsafe_op_in_unsafe_fn)]

use kernel::{
    bindings,
    prelude::*,
    tracepoint::impl_tracepoint, //
};

impl_tracepoint! {
    /// A verdict.
    pub struct IptVerdict: ipt_verdict(
        skb: *const bindings::sk_buff,
        _state: *const bindings::nf_hook_state,
        _table: *const bindings::xt_table,
        _rule: *const bindings::ipt_entry,
        _verdict: c_uint,
    ) -> for<'a> u32 {
        (*skb).len
    }
}
