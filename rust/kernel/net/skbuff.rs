// SPDX-License-Identifier: GPL-2.0

//! Packets.
//!
//! C headers: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h),
//! [`include/net/dropreason.h`](srctree/include/net/dropreason.h)

#[cfg(CONFIG_TRACEPOINTS)]
use crate::tracepoint::impl_tracepoint;
use crate::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// A packet, `struct sk_buff`, borrowed from its owner.
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::{bindings, net::SkBuff};
    /// let mut raw = bindings::sk_buff::default();
    /// raw.len = 1500;
    ///
    /// // SAFETY: `raw` outlives the reference, and nothing else accesses it.
    /// let skb = unsafe { SkBuff::from_raw(&raw) };
    /// assert_eq!(skb.len(), 1500);
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::sk_buff) -> &'a Self {
        // SAFETY: By the safety requirement; the type is a transparent wrapper.
        unsafe { &*ptr.cast() }
    }

    /// Returns the number of bytes from the current start of the data on, including fragments.
    ///
    /// The start is the network header at the hooks of IPv4 and IPv6; it can be the link-layer
    /// header or the payload where a packet is dropped.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        // SAFETY: The packet is valid for the lifetime of `self`.
        unsafe { (*self.0.get()).len }
    }
}

#[cfg(CONFIG_TRACEPOINTS)]
impl_tracepoint! {
    /// The `kfree_skb` event: a packet is dropped.
    ///
    /// A [`Probe`](crate::tracepoint::Probe) on it runs wherever the kernel drops packets,
    /// including in interrupts.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     net::{
    ///         DropReason,
    ///         Dropped,
    ///         KfreeSkb, //
    ///     },
    ///     percpu::PerCpu,
    ///     prelude::*,
    ///     tracepoint::Probe, //
    /// };
    ///
    /// struct DroppedBytes {
    ///     reason: DropReason,
    ///     bytes: PerCpu<u32>,
    /// }
    ///
    /// impl Probe<KfreeSkb> for DroppedBytes {
    ///     type Data = KBox<Self>;
    ///
    ///     fn probe(this: &Self, dropped: Dropped<'_>) {
    ///         if dropped.reason == this.reason {
    ///             this.bytes.ptr().this_cpu_add(dropped.skb.len());
    ///         }
    ///     }
    /// }
    /// ```
    pub struct KfreeSkb: kfree_skb(
        skb: *mut bindings::sk_buff,
        _location: *mut c_void,
        reason: bindings::skb_drop_reason,
        _rx_sk: *const bindings::sock,
    ) -> for<'a> Dropped<'a> {
        Dropped {
            // SAFETY: The packet is freed after the call, and no longer has another owner.
            skb: unsafe { SkBuff::from_raw(skb) },
            reason: DropReason(reason.0),
        }
    }
}

/// The arguments of the `kfree_skb` event, valid for the duration of the call only.
#[derive(Copy, Clone)]
pub struct Dropped<'a> {
    /// The packet.
    pub skb: &'a SkBuff,
    /// Why it is dropped.
    pub reason: DropReason,
}

/// The reason why a packet is dropped, `enum skb_drop_reason`.
///
/// # Examples
///
/// ```
/// use kernel::net::DropReason;
///
/// assert_eq!(DropReason::from_raw(2).name(), "NOT_SPECIFIED");
/// assert_eq!(DropReason::from_raw(3 << 16).name(), "OTHER");
/// assert_eq!(DropReason::from_raw(3 << 16).as_raw(), 3 << 16);
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct DropReason(u32);

impl DropReason {
    /// The limit of the reasons of the network core; those of other subsystems are above it.
    pub const CORE_MAX: u32 = bindings::skb_drop_reason::SKB_DROP_REASON_MAX.0;

    /// Creates a reason from its C value.
    #[inline]
    pub fn from_raw(reason: u32) -> Self {
        Self(reason)
    }

    /// Returns the C value.
    #[inline]
    pub fn as_raw(self) -> u32 {
        self.0
    }

    /// Returns the name of a reason of the network core, or `OTHER` for any other reason.
    #[inline]
    pub fn name(self) -> &'static str {
        const CORE: usize = bindings::skb_drop_reason_subsys_SKB_DROP_REASON_SUBSYS_CORE as usize;

        // SAFETY: The list of the network core is a constant.
        let core = unsafe { &*bindings::drop_reasons_by_subsys[CORE] };
        if self.0 as usize >= core.n_reasons {
            return "OTHER";
        }

        // SAFETY: The index is below the number of reasons.
        let name = unsafe { *core.reasons.add(self.0 as usize) };
        if name.is_null() {
            return "OTHER";
        }
        // SAFETY: A name that is not NULL is a constant string.
        unsafe { CStr::from_char_ptr(name) }
            .to_str()
            .unwrap_or("OTHER")
    }
}
