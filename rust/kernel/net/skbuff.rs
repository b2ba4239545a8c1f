// SPDX-License-Identifier: GPL-2.0

//! Packets.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use crate::{
    bindings,
    types::Opaque, //
};

/// A packet, borrowed from whoever processes it: a `struct sk_buff`.
///
/// # Examples
///
/// ```
/// use kernel::net::SkBuff;
///
/// fn average(packets: &[&SkBuff]) -> Option<u32> {
///     let sum: u32 = packets.iter().map(|skb| skb.len()).sum();
///     sum.checked_div(packets.len() as u32)
/// }
///
/// assert_eq!(average(&[]), None);
/// ```
#[repr(transparent)]
pub struct SkBuff(Opaque<bindings::sk_buff>);

impl SkBuff {
    /// Borrows a packet from the C side.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid, and no other CPU may write to the packet, for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::sk_buff) -> &'a Self {
        // SAFETY: By the safety requirement; the type is a transparent wrapper.
        unsafe { &*ptr.cast() }
    }

    /// Returns the number of bytes from the network header on, fragments included.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        // SAFETY: The packet is valid for the lifetime of `self`.
        unsafe { (*self.0.get()).len }
    }
}
