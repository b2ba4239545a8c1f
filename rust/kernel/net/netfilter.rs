// SPDX-License-Identifier: GPL-2.0

//! Netfilter: hooks and verdicts.
//!
//! C headers: [`include/linux/netfilter.h`](srctree/include/linux/netfilter.h),
//! [`include/uapi/linux/netfilter.h`](srctree/include/uapi/linux/netfilter.h)

use crate::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// A place in the path of a packet where netfilter is called: an `NF_INET_*` hook.
///
/// # Examples
///
/// ```
/// use kernel::net::netfilter::Hook;
///
/// assert_eq!(Hook::from_raw(1), Some(Hook::LocalIn));
/// assert_eq!(Hook::from_raw(5), None);
/// assert_eq!(Hook::LocalIn.chain(), "INPUT");
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Hook {
    /// A packet has come in.
    PreRouting = bindings::nf_inet_hooks_NF_INET_PRE_ROUTING as u8,
    /// A packet has come in for this host.
    LocalIn = bindings::nf_inet_hooks_NF_INET_LOCAL_IN as u8,
    /// A packet is passed on from one device to another.
    Forward = bindings::nf_inet_hooks_NF_INET_FORWARD as u8,
    /// This host sends a packet.
    LocalOut = bindings::nf_inet_hooks_NF_INET_LOCAL_OUT as u8,
    /// A packet goes out.
    PostRouting = bindings::nf_inet_hooks_NF_INET_POST_ROUTING as u8,
}

impl Hook {
    /// All hooks, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::PreRouting,
        Self::LocalIn,
        Self::Forward,
        Self::LocalOut,
        Self::PostRouting,
    ];

    /// Returns the hook with the number `hook`, or [`None`] if IP has no such hook.
    #[inline]
    pub fn from_raw(hook: u8) -> Option<Self> {
        match u32::from(hook) {
            bindings::nf_inet_hooks_NF_INET_PRE_ROUTING => Some(Self::PreRouting),
            bindings::nf_inet_hooks_NF_INET_LOCAL_IN => Some(Self::LocalIn),
            bindings::nf_inet_hooks_NF_INET_FORWARD => Some(Self::Forward),
            bindings::nf_inet_hooks_NF_INET_LOCAL_OUT => Some(Self::LocalOut),
            bindings::nf_inet_hooks_NF_INET_POST_ROUTING => Some(Self::PostRouting),
            _ => None,
        }
    }

    /// Returns the name of the built-in chain at this hook.
    pub const fn chain(self) -> &'static str {
        match self {
            Self::PreRouting => "PREROUTING",
            Self::LocalIn => "INPUT",
            Self::Forward => "FORWARD",
            Self::LocalOut => "OUTPUT",
            Self::PostRouting => "POSTROUTING",
        }
    }
}

/// A place in the path of an ARP packet where netfilter is called: an `NF_ARP_*` hook.
///
/// # Examples
///
/// ```
/// use kernel::net::netfilter::ArpHook;
///
/// assert_eq!(ArpHook::Out.chain(), "OUTPUT");
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ArpHook {
    /// A packet has come in.
    In = bindings::NF_ARP_IN as u8,
    /// This host sends a packet.
    Out = bindings::NF_ARP_OUT as u8,
    /// A bridge passes a packet on.
    Forward = bindings::NF_ARP_FORWARD as u8,
}

impl ArpHook {
    /// All hooks, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::In, Self::Out, Self::Forward];

    /// Returns the name of the built-in chain at this hook.
    pub const fn chain(self) -> &'static str {
        match self {
            Self::In => "INPUT",
            Self::Out => "OUTPUT",
            Self::Forward => "FORWARD",
        }
    }
}

/// The circumstances of a packet at a hook: a `struct nf_hook_state`.
#[repr(transparent)]
pub struct HookState(Opaque<bindings::nf_hook_state>);

impl HookState {
    /// Borrows a hook state from the C side.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid, and not written to, for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::nf_hook_state) -> &'a Self {
        // SAFETY: By the safety requirement; the type is a transparent wrapper.
        unsafe { &*ptr.cast() }
    }

    /// Returns the number of the hook, whose meaning depends on the protocol: a [`Hook`] or an
    /// [`ArpHook`].
    #[inline]
    pub fn number(&self) -> u8 {
        // SAFETY: The state is valid for the lifetime of `self`.
        unsafe { (*self.0.get()).hook }
    }

    /// Returns the hook of an IP packet, or [`None`] if IP has no such hook.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     bindings,
    ///     net::netfilter::{
    ///         Hook,
    ///         HookState, //
    ///     }, //
    /// };
    ///
    /// let mut raw = bindings::nf_hook_state::default();
    /// raw.hook = Hook::Forward as u8;
    ///
    /// // SAFETY: `raw` outlives the reference, and nobody else has it.
    /// let state = unsafe { HookState::from_raw(&raw) };
    /// assert_eq!(state.hook(), Some(Hook::Forward));
    /// assert_eq!(state.number(), 2);
    /// ```
    #[inline]
    pub fn hook(&self) -> Option<Hook> {
        Hook::from_raw(self.number())
    }
}

/// What becomes of a packet: the low byte of a [`Verdict`].
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Action {
    /// The packet is freed.
    Drop = bindings::NF_DROP as u8,
    /// The packet goes on.
    Accept = bindings::NF_ACCEPT as u8,
    /// The packet has a new owner, and may have been freed.
    Stolen = bindings::NF_STOLEN as u8,
    /// The packet goes to user space.
    Queue = bindings::NF_QUEUE as u8,
    /// The hook is called again.
    Repeat = bindings::NF_REPEAT as u8,
    /// The packet goes on, past all other hooks.
    Stop = bindings::NF_STOP as u8,
    /// None that netfilter knows.
    Other,
}

impl Action {
    /// All actions, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Drop,
        Self::Accept,
        Self::Stolen,
        Self::Queue,
        Self::Repeat,
        Self::Stop,
        Self::Other,
    ];

    /// Returns the name, as iptables and the trace events write it.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::netfilter::Action;
    ///
    /// assert_eq!(Action::Stolen.name(), "STOLEN");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "DROP",
            Self::Accept => "ACCEPT",
            Self::Stolen => "STOLEN",
            Self::Queue => "QUEUE",
            Self::Repeat => "REPEAT",
            Self::Stop => "STOP",
            Self::Other => "OTHER",
        }
    }
}

/// What a hook function returns: an action, with a queue number or an error in the upper bits.
///
/// # Examples
///
/// ```
/// use kernel::net::netfilter::{
///     Action,
///     Verdict, //
/// };
///
/// // `NF_QUEUE_NR(5)`, with bypass.
/// let verdict = Verdict::from_raw((5 << 16) | 0x8000 | 3);
/// assert_eq!(verdict.action(), Action::Queue);
/// assert_eq!(verdict.queue(), Some(5));
/// assert_eq!(verdict.error(), None);
///
/// // `NF_DROP_ERR(-EPERM)`.
/// let verdict = Verdict::from_raw(1 << 16);
/// assert_eq!(verdict.action(), Action::Drop);
/// assert_eq!(verdict.error(), Some(EPERM));
///
/// assert_eq!(Verdict::from_raw(6).action(), Action::Other);
/// assert_eq!(Verdict::from_raw(u32::MAX).action(), Action::Other);
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Verdict(u32);

impl Verdict {
    /// Takes a verdict as the C side has it.
    #[inline]
    pub fn from_raw(verdict: u32) -> Self {
        Self(verdict)
    }

    /// Returns the verdict as the C side has it.
    #[inline]
    pub fn as_raw(self) -> u32 {
        self.0
    }

    /// Returns what becomes of the packet.
    #[inline]
    pub fn action(self) -> Action {
        match self.0 & bindings::NF_VERDICT_MASK {
            bindings::NF_DROP => Action::Drop,
            bindings::NF_ACCEPT => Action::Accept,
            bindings::NF_STOLEN => Action::Stolen,
            bindings::NF_QUEUE => Action::Queue,
            bindings::NF_REPEAT => Action::Repeat,
            bindings::NF_STOP => Action::Stop,
            _ => Action::Other,
        }
    }

    /// Returns the number of the queue that a packet goes to.
    pub fn queue(self) -> Option<u16> {
        (self.action() == Action::Queue).then_some(self.upper())
    }

    /// Returns the error that the sender of a dropped packet gets, if there is one.
    pub fn error(self) -> Option<Error> {
        if self.action() != Action::Drop || self.upper() == 0 {
            return None;
        }
        Some(Error::from_errno(-c_int::from(self.upper())))
    }

    fn upper(self) -> u16 {
        (self.0 >> bindings::NF_VERDICT_QBITS) as u16
    }
}
