// SPDX-License-Identifier: GPL-2.0
//! A tracepoint definition that lacks an argument of the C declaration.
// error[E0308]: mismatched types

use kernel::{
    bindings,
    prelude::*,
    tracepoint::impl_tracepoint, //
};

impl_tracepoint! {
    /// A packet is dropped.
    pub struct KfreeSkb: kfree_skb(
        _skb: *mut bindings::sk_buff,
        _location: *mut c_void,
        reason: bindings::skb_drop_reason,
    ) -> for<'a> u32 {
        reason.0
    }
}
