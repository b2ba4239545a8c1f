// SPDX-License-Identifier: GPL-2.0

//! Netfilter: protocol families, hooks and verdicts.
//!
//! C headers: [`include/linux/netfilter.h`](srctree/include/linux/netfilter.h),
//! [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h),
//! [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h),
//! [`include/uapi/linux/netfilter.h`](srctree/include/uapi/linux/netfilter.h)

use crate::{
    bindings,
    prelude::*,
    sync::atomic::{
        atomic_load,
        Relaxed, //
    },
    types::Opaque, //
};

/// Hints to the compiler that the code path of the call is unlikely.
#[cold]
#[inline(always)]
pub(super) fn cold_path() {}

/// A protocol family, `NFPROTO_*`: of a packet, or of a table.
///
/// # Examples
///
/// ```
/// use kernel::net::netfilter::Family;
///
/// assert_eq!(Family::from_raw(10), Some(Family::Ipv6));
/// assert_eq!(Family::from_raw(4), None);
/// assert_eq!(Family::Arp.chains(), ["INPUT", "OUTPUT", "FORWARD"]);
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Family {
    /// IPv4.
    Ipv4 = bindings::NFPROTO_IPV4 as u8,
    /// IPv6.
    Ipv6 = bindings::NFPROTO_IPV6 as u8,
    /// ARP.
    Arp = bindings::NFPROTO_ARP as u8,
    /// A packet of any protocol that a bridge forwards, sends or receives.
    Bridge = bindings::NFPROTO_BRIDGE as u8,
    /// A packet of any protocol that a device receives or sends.
    Netdev = bindings::NFPROTO_NETDEV as u8,
    /// Both IPv4 and IPv6: a family of tables only.
    Inet = bindings::NFPROTO_INET as u8,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 6] = [
        Self::Ipv4,
        Self::Ipv6,
        Self::Arp,
        Self::Bridge,
        Self::Netdev,
        Self::Inet,
    ];

    /// Returns the family with the number `pf`, or [`None`] if netfilter has no hooks for it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::netfilter::Family;
    /// assert_eq!(Family::from_raw(2), Some(Family::Ipv4));
    /// assert_eq!(Family::from_raw(0), None);
    /// ```
    #[inline]
    pub fn from_raw(pf: u8) -> Option<Self> {
        match u32::from(pf) {
            bindings::NFPROTO_IPV4 => Some(Self::Ipv4),
            bindings::NFPROTO_IPV6 => Some(Self::Ipv6),
            bindings::NFPROTO_ARP => Some(Self::Arp),
            bindings::NFPROTO_BRIDGE => Some(Self::Bridge),
            bindings::NFPROTO_NETDEV => Some(Self::Netdev),
            bindings::NFPROTO_INET => Some(Self::Inet),
            _ => None,
        }
    }

    /// Returns a number below 8 that no other family has, for an array index of three bits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::netfilter::Family;
    /// assert!(Family::ALL.iter().all(|family| family.slot() < 8));
    /// ```
    #[inline]
    pub const fn slot(self) -> u8 {
        slot(self as u8)
    }

    /// Returns the name, as in the `family` column of the `iptverdict` module.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::netfilter::Family;
    /// let names = Family::ALL.map(Family::name);
    /// assert_eq!(names, ["ipv4", "ipv6", "arp", "bridge", "netdev", "inet"]);
    /// ```
    #[inline]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Arp => "arp",
            Self::Bridge => "bridge",
            Self::Netdev => "netdev",
            Self::Inet => "inet",
        }
    }

    /// Returns the chains at the hooks of this family, by hook number.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::netfilter::Family;
    /// assert_eq!(Family::Netdev.chains(), ["INGRESS", "EGRESS"]);
    /// ```
    #[inline]
    pub const fn chains(self) -> &'static [&'static str] {
        match self {
            Self::Arp => &ArpHook::CHAINS,
            Self::Netdev => &["INGRESS", "EGRESS"],
            _ => &Hook::CHAINS,
        }
    }
}

/// Returns [`Family::slot`] for a `NFPROTO_*`.
#[inline(always)]
const fn slot(pf: u8) -> u8 {
    (pf as u32 * 5 >> 2 & 7) as u8
}

// No two families have the same slot.
const _: () = {
    let mut slots = 0;
    let mut i = 0;
    while i < Family::ALL.len() {
        assert!(slots & (1 << Family::ALL[i].slot()) == 0);
        slots |= 1 << Family::ALL[i].slot();
        i += 1;
    }
};

/// A netfilter hook in the path of an IP packet, `NF_INET_*`.
///
/// # Examples
///
/// ```
/// use kernel::net::netfilter::Hook;
///
/// assert_eq!(Hook::from_raw(1), Some(Hook::LocalIn));
/// assert_eq!(Hook::from_raw(6), None);
/// assert_eq!(Hook::LocalIn.chain(), "INPUT");
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Hook {
    /// A packet was received.
    PreRouting = bindings::nf_inet_hooks_NF_INET_PRE_ROUTING as u8,
    /// A packet for this host was received.
    LocalIn = bindings::nf_inet_hooks_NF_INET_LOCAL_IN as u8,
    /// A packet is forwarded from one device to another.
    Forward = bindings::nf_inet_hooks_NF_INET_FORWARD as u8,
    /// This host sends a packet.
    LocalOut = bindings::nf_inet_hooks_NF_INET_LOCAL_OUT as u8,
    /// A packet is about to be transmitted.
    PostRouting = bindings::nf_inet_hooks_NF_INET_POST_ROUTING as u8,
    /// A device has received a packet; for tables of nftables only.
    Ingress = bindings::nf_inet_hooks_NF_INET_INGRESS as u8,
}

impl Hook {
    /// All hooks, in numerical order.
    pub const ALL: [Self; 6] = [
        Self::PreRouting,
        Self::LocalIn,
        Self::Forward,
        Self::LocalOut,
        Self::PostRouting,
        Self::Ingress,
    ];

    /// Returns the hook with the number `hook`, or [`None`] if IP does not have it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::netfilter::Hook;
    /// assert_eq!(Hook::from_raw(2), Some(Hook::Forward));
    /// assert_eq!(Hook::from_raw(u8::MAX), None);
    /// ```
    #[inline]
    pub fn from_raw(hook: u8) -> Option<Self> {
        match u32::from(hook) {
            bindings::nf_inet_hooks_NF_INET_PRE_ROUTING => Some(Self::PreRouting),
            bindings::nf_inet_hooks_NF_INET_LOCAL_IN => Some(Self::LocalIn),
            bindings::nf_inet_hooks_NF_INET_FORWARD => Some(Self::Forward),
            bindings::nf_inet_hooks_NF_INET_LOCAL_OUT => Some(Self::LocalOut),
            bindings::nf_inet_hooks_NF_INET_POST_ROUTING => Some(Self::PostRouting),
            bindings::nf_inet_hooks_NF_INET_INGRESS => Some(Self::Ingress),
            _ => None,
        }
    }

    /// The built-in chains, by hook number.
    pub const CHAINS: [&'static str; 6] = [
        "PREROUTING",
        "INPUT",
        "FORWARD",
        "OUTPUT",
        "POSTROUTING",
        "INGRESS",
    ];

    /// Returns the name of the built-in chain at this hook.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::netfilter::Hook;
    /// assert_eq!(Hook::LocalOut.chain(), "OUTPUT");
    /// ```
    #[inline]
    pub const fn chain(self) -> &'static str {
        Self::CHAINS[self as usize]
    }
}

// The hooks are the indices of their chains.
const _: () = {
    let mut i = 0;
    while i < Hook::ALL.len() {
        assert!(Hook::ALL[i] as usize == i);
        i += 1;
    }
};

/// A netfilter hook in the path of an ARP packet, `NF_ARP_*`.
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
    /// A packet was received.
    In = bindings::NF_ARP_IN as u8,
    /// This host sends a packet.
    Out = bindings::NF_ARP_OUT as u8,
    /// A bridge forwards a packet.
    Forward = bindings::NF_ARP_FORWARD as u8,
}

impl ArpHook {
    /// All hooks, in numerical order.
    pub const ALL: [Self; 3] = [Self::In, Self::Out, Self::Forward];

    /// The built-in chains, by hook number.
    pub const CHAINS: [&'static str; 3] = ["INPUT", "OUTPUT", "FORWARD"];

    /// Returns the name of the built-in chain at this hook.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::netfilter::ArpHook;
    /// assert_eq!(ArpHook::In.chain(), "INPUT");
    /// ```
    #[inline]
    pub const fn chain(self) -> &'static str {
        Self::CHAINS[self as usize]
    }
}

// The hooks are the indices of their chains.
const _: () = {
    let mut i = 0;
    while i < ArpHook::ALL.len() {
        assert!(ArpHook::ALL[i] as usize == i);
        i += 1;
    }
};

/// The state of a hook traversal, `struct nf_hook_state`.
///
/// # Examples
///
/// ```
/// use kernel::net::netfilter::{
///     Hook,
///     HookState, //
/// };
///
/// fn is_forwarded(state: &HookState) -> bool {
///     state.hook() == Some(Hook::Forward)
/// }
/// ```
///
/// # Invariants
///
/// The number of the hook is below [`HookState::MAX_HOOKS`]. The devices and the network namespace
/// are alive for as long as the state.
#[repr(transparent)]
pub struct HookState(Opaque<bindings::nf_hook_state>);

impl HookState {
    /// A power of two that is not less than the number of hooks of any protocol.
    pub const MAX_HOOKS: u8 = 8;

    /// Borrows a hook state from the C side.
    ///
    /// # Safety
    ///
    /// - `ptr` must be valid, and not written to, for `'a`.
    /// - Its hook must be below [`Self::MAX_HOOKS`].
    /// - Its network namespace must be alive for `'a`, and so must its devices, unless NULL.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::{bindings, net::netfilter::HookState};
    /// let mut raw = bindings::nf_hook_state::default();
    /// raw.net = &raw mut bindings::init_net;
    ///
    /// // SAFETY: `raw` outlives the reference, and nothing else accesses it. It has no devices.
    /// let state = unsafe { HookState::from_raw(&raw) };
    /// assert_eq!(state.number(), 0);
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::nf_hook_state) -> &'a Self {
        // INVARIANT: By the safety requirement.
        // SAFETY: By the safety requirement; the type is a transparent wrapper.
        unsafe { &*ptr.cast() }
    }

    /// Returns the family of the packet, or [`None`] if netfilter has no hooks for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::netfilter::{
    ///     Family,
    ///     HookState, //
    /// };
    ///
    /// fn is_bridged(state: &HookState) -> bool {
    ///     state.family() == Some(Family::Bridge)
    /// }
    /// ```
    #[inline]
    pub fn family(&self) -> Option<Family> {
        // SAFETY: The state is valid for the lifetime of `self`.
        Family::from_raw(unsafe { (*self.0.get()).pf })
    }

    /// Returns [`Family::slot`] of the family of the packet. Cheaper than [`Self::family`], because
    /// it does not check the family.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::netfilter::{
    ///     Family,
    ///     HookState, //
    /// };
    ///
    /// fn is_bridged(state: &HookState) -> bool {
    ///     state.family_slot() == Family::Bridge.slot()
    /// }
    /// ```
    #[inline]
    pub fn family_slot(&self) -> u8 {
        // SAFETY: The state is valid for the lifetime of `self`.
        slot(unsafe { (*self.0.get()).pf })
    }

    /// Returns the number of the hook, a [`Hook`] or an [`ArpHook`] depending on the family. It
    /// is below [`Self::MAX_HOOKS`], which the compiler knows.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::netfilter::{
    ///     ArpHook,
    ///     HookState, //
    /// };
    ///
    /// fn is_sent(state_of_arp_packet: &HookState) -> bool {
    ///     state_of_arp_packet.number() == ArpHook::Out as u8
    /// }
    /// ```
    #[inline]
    pub fn number(&self) -> u8 {
        // SAFETY: The state is valid for the lifetime of `self`.
        let hook = unsafe { (*self.0.get()).hook };

        // SAFETY: By the type invariants.
        unsafe { core::hint::assert_unchecked(hook < Self::MAX_HOOKS) };
        hook
    }

    /// Returns the hook of an IP packet, or [`None`] if IP does not have it.
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
    /// raw.net = &raw mut bindings::init_net;
    ///
    /// // SAFETY: `raw` outlives the reference, and nothing else accesses it. It has no devices.
    /// let state = unsafe { HookState::from_raw(&raw) };
    /// assert_eq!(state.hook(), Some(Hook::Forward));
    /// assert_eq!(state.number(), 2);
    /// ```
    #[inline]
    pub fn hook(&self) -> Option<Hook> {
        Hook::from_raw(self.number())
    }

    /// Returns the device that the packet was received on, or [`None`] for a packet of this host
    /// and at the hooks that follow it.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::netfilter::HookState;
    ///
    /// fn came_from(state: &HookState, ifindex: i32) -> bool {
    ///     state.in_device().is_some_and(|device| device.ifindex() == ifindex)
    /// }
    /// ```
    #[inline]
    pub fn in_device(&self) -> Option<&NetDevice> {
        // SAFETY: The state is valid for the lifetime of `self`; by the type invariants, so is a
        // device that is not NULL.
        unsafe { (*self.0.get()).in_.cast::<NetDevice>().as_ref() }
    }

    /// Returns the device that the packet will be sent on, or [`None`] at the hooks `PREROUTING`
    /// and `INPUT`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::netfilter::HookState;
    ///
    /// fn is_forwarded(state: &HookState) -> bool {
    ///     state.in_device().is_some() && state.out_device().is_some()
    /// }
    /// ```
    #[inline]
    pub fn out_device(&self) -> Option<&NetDevice> {
        // SAFETY: As above.
        unsafe { (*self.0.get()).out.cast::<NetDevice>().as_ref() }
    }

    /// Returns the network namespace.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::netfilter::HookState;
    ///
    /// fn is_in_namespace(state: &HookState, inode: u32) -> bool {
    ///     state.net().inode() == inode
    /// }
    /// ```
    #[inline]
    pub fn net(&self) -> &Namespace {
        // SAFETY: The state is valid for the lifetime of `self`; by the type invariants, so is the
        // namespace, and `Namespace` is a transparent wrapper.
        unsafe { &*(*self.0.get()).net.cast::<Namespace>() }
    }
}

/// A network device, `struct net_device`, borrowed for as long as a packet is at a hook.
///
/// # Examples
///
/// ```
/// use kernel::net::netfilter::NetDevice;
///
/// fn is_loopback(device: &NetDevice) -> bool {
///     device.name().starts_with(b"lo\0")
/// }
/// ```
#[repr(transparent)]
pub struct NetDevice(Opaque<bindings::net_device>);

impl NetDevice {
    /// Returns the index, by which user space identifies the device in its network namespace.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::netfilter::NetDevice;
    ///
    /// fn are_same(one: &NetDevice, other: &NetDevice) -> bool {
    ///     one.ifindex() == other.ifindex()
    /// }
    /// ```
    #[inline]
    pub fn ifindex(&self) -> i32 {
        // SAFETY: The device is valid for the lifetime of `self`, and its index is aligned.
        unsafe { atomic_load(&raw mut (*self.0.get()).ifindex, Relaxed) }
    }

    /// Returns a copy of the name, which ends before the first zero.
    ///
    /// If the device is renamed at this moment, the copy may be a mixture of both names.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::netfilter::NetDevice;
    ///
    /// fn is_virtual_ethernet(device: &NetDevice) -> bool {
    ///     device.name().starts_with(b"veth")
    /// }
    /// ```
    #[inline]
    pub fn name(&self) -> [u8; bindings::IFNAMSIZ as usize] {
        // SAFETY: The device is valid for the lifetime of `self`. The access is volatile, because
        // the name may be written meanwhile; each byte of it is valid.
        unsafe { (&raw const (*self.0.get()).name).read_volatile() }
    }
}

/// A network namespace, `struct net`, borrowed for as long as a packet is at a hook.
///
/// # Examples
///
/// ```
/// use kernel::net::netfilter::Namespace;
///
/// fn are_same(one: &Namespace, other: &Namespace) -> bool {
///     one.cookie() == other.cookie()
/// }
/// ```
#[repr(transparent)]
pub struct Namespace(Opaque<bindings::net>);

impl Namespace {
    /// Returns the cookie, a number that no other network namespace has until the next boot.
    ///
    /// `SO_NETNS_COOKIE` and the `net_cookie` of the trace events are the same number.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::netfilter::Namespace;
    ///
    /// fn is_new(net: &Namespace, last: u64) -> bool {
    ///     net.cookie() > last
    /// }
    /// ```
    #[inline]
    pub fn cookie(&self) -> u64 {
        // SAFETY: The namespace is valid for the lifetime of `self`. Its cookie is written before
        // any packet is in it.
        unsafe { (*self.0.get()).net_cookie }
    }

    /// Returns the inode number, as in `/proc/PID/ns/net` and `lsns`. A later namespace may get the
    /// same number.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::netfilter::Namespace;
    ///
    /// fn is_in(net: &Namespace, inodes: &[u32]) -> bool {
    ///     inodes.contains(&net.inode())
    /// }
    /// ```
    #[inline]
    pub fn inode(&self) -> u32 {
        // SAFETY: As above.
        unsafe { (*self.0.get()).ns.inum }
    }
}

/// The action on a packet: the low byte of a [`Verdict`].
///
/// # Examples
///
/// ```
/// use kernel::net::netfilter::Action;
///
/// let names = Action::ALL.map(Action::name);
/// assert_eq!(names, ["DROP", "ACCEPT", "STOLEN", "QUEUE", "REPEAT", "STOP", "OTHER"]);
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Action {
    /// The packet is freed.
    Drop = bindings::NF_DROP as u8,
    /// The packet continues.
    Accept = bindings::NF_ACCEPT as u8,
    /// The packet has a new owner, and may have been freed.
    Stolen = bindings::NF_STOLEN as u8,
    /// The packet is queued to user space.
    Queue = bindings::NF_QUEUE as u8,
    /// The hook function is called again. A verdict of user space on a queued packet; netfilter
    /// rejects it from a hook function.
    Repeat = bindings::NF_REPEAT as u8,
    /// The packet continues and skips all further hook functions. Otherwise as `Repeat`.
    Stop = bindings::NF_STOP as u8,
    /// Not a netfilter action.
    Other,
}

impl Action {
    /// All actions, in numerical order.
    pub const ALL: [Self; 7] = [
        Self::Drop,
        Self::Accept,
        Self::Stolen,
        Self::Queue,
        Self::Repeat,
        Self::Stop,
        Self::Other,
    ];

    /// Returns the name that iptables and the trace events use.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::net::netfilter::Action;
    ///
    /// assert_eq!(Action::Stolen.name(), "STOLEN");
    /// ```
    #[inline]
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

// `Verdict::action()` converts each number up to `NF_STOP`. A constant of the module is evaluated
// in every build; one of the type would be only where it is used.
const _: () = {
    let mut i = 0;
    while i < Action::ALL.len() {
        assert!(Action::ALL[i] as usize == i);
        i += 1;
    }
    assert!(Action::Stop as u32 == bindings::NF_STOP);
};

/// The return value of a hook function: an action, with a queue number or an error in the upper
/// bits.
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
    /// Creates a verdict from its C value.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::netfilter::{Action, Verdict};
    /// let accept = Verdict::from_raw(1);
    /// assert_eq!(accept.action(), Action::Accept);
    /// ```
    #[inline]
    pub fn from_raw(verdict: u32) -> Self {
        Self(verdict)
    }

    /// Returns the C value.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::netfilter::{Action, Verdict};
    /// let queue = Verdict::from_raw(7 << 16 | 3);
    /// assert_eq!(queue.as_raw(), 0x70003);
    /// assert_eq!(queue.action(), Action::Queue);
    /// ```
    #[inline]
    pub fn as_raw(self) -> u32 {
        self.0
    }

    /// Returns the action on the packet.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::netfilter::{Action, Verdict};
    /// assert_eq!(Verdict::from_raw(2).action(), Action::Stolen);
    /// assert_eq!(Verdict::from_raw(200).action(), Action::Other);
    /// ```
    #[inline]
    pub fn action(self) -> Action {
        let mut action = self.0;
        // Upper bits are rarely set: test all other verdicts with one comparison.
        if action > bindings::NF_STOP {
            cold_path();
            action &= bindings::NF_VERDICT_MASK;
            if action > bindings::NF_STOP {
                return Action::Other;
            }
        }
        // SAFETY: Each number up to `NF_STOP` is that of an action, see the proof at `Action`.
        unsafe { core::mem::transmute::<u8, Action>(action as u8) }
    }

    /// Returns the queue number, if the action is [`Action::Queue`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::netfilter::{Action, Verdict};
    /// assert_eq!(Verdict::from_raw(7 << 16 | 3).queue(), Some(7));
    /// assert_eq!(Verdict::from_raw(7 << 16).queue(), None);
    /// # assert_eq!(Verdict::from_raw(3).action(), Action::Queue);
    /// ```
    pub fn queue(self) -> Option<u16> {
        (self.action() == Action::Queue).then_some(self.upper())
    }

    /// Returns the error that is reported to the sender of a dropped packet, if any.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::net::netfilter::{Action, Verdict};
    /// // `NF_DROP_ERR(-ECONNREFUSED)`.
    /// assert_eq!(Verdict::from_raw(111 << 16).error(), Some(ECONNREFUSED));
    /// assert_eq!(Verdict::from_raw(0).error(), None);
    /// # assert_eq!(Verdict::from_raw(0).action(), Action::Drop);
    /// ```
    pub fn error(self) -> Option<Error> {
        if self.action() != Action::Drop
            || !(1..=bindings::MAX_ERRNO).contains(&u32::from(self.upper()))
        {
            return None;
        }
        Some(Error::from_errno(-c_int::from(self.upper())))
    }

    fn upper(self) -> u16 {
        (self.0 >> bindings::NF_VERDICT_QBITS) as u16
    }
}

#[cfg(CONFIG_RUST_NETFILTER_KUNIT_TEST)]
#[macros::kunit_tests(rust_netfilter)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict() {
        const NAMES: [&str; 6] = ["DROP", "ACCEPT", "STOLEN", "QUEUE", "REPEAT", "STOP"];

        for low in 0..=u32::from(u8::MAX) {
            // Upper bits: none, a flag, a queue or an error, all.
            for upper in [0, 0x8000, 1 << 16, 0xffff_ff00] {
                let verdict = Verdict::from_raw(upper | low);
                let name = NAMES.get(low as usize).copied().unwrap_or("OTHER");
                assert_eq!(verdict.action().name(), name);
                assert_eq!(verdict.as_raw(), upper | low);
            }
        }
    }

    #[test]
    fn actions_are_in_order() {
        for (number, action) in Action::ALL.into_iter().enumerate() {
            assert_eq!(action as usize, number);
        }
    }

    #[test]
    fn upper_bits_at_the_limits() {
        assert_eq!(Verdict::from_raw(3).queue(), Some(0));
        assert_eq!(Verdict::from_raw(0xffff_0003).queue(), Some(u16::MAX));
        assert_eq!(Verdict::from_raw(0xffff_0002).queue(), None);

        assert_eq!(Verdict::from_raw(0).error(), None);
        assert_eq!(
            Verdict::from_raw(4095 << 16).error(),
            Some(Error::from_errno(-4095))
        );
        // Not errnos.
        assert_eq!(Verdict::from_raw(4096 << 16).error(), None);
        assert_eq!(Verdict::from_raw(0xffff_0000).error(), None);
        assert_eq!(Verdict::from_raw(1 << 16 | 1).error(), None);
    }

    #[test]
    fn state_of_a_hook() {
        let mut device = bindings::net_device {
            ifindex: 7,
            ..Default::default()
        };
        device.name[..3].copy_from_slice(b"r0\0");
        let mut raw = bindings::nf_hook_state {
            hook: 6,
            pf: bindings::NFPROTO_BRIDGE as u8,
            net: &raw mut bindings::init_net,
            ..Default::default()
        };

        {
            // SAFETY: `raw` outlives the reference, and nothing else accesses it.
            let state = unsafe { HookState::from_raw(&raw) };
            assert_eq!(state.number(), 6);
            assert_eq!(state.family(), Some(Family::Bridge));
            assert_eq!(state.family_slot(), Family::Bridge.slot());
            assert_eq!(state.hook(), None);
            assert!(state.in_device().is_none() && state.out_device().is_none());
            assert_ne!(state.net().inode(), 0);
            assert_ne!(state.net().cookie(), 0);
        }

        raw.in_ = &raw mut device;
        // SAFETY: As above; `device` outlives the reference, too.
        let state = unsafe { HookState::from_raw(&raw) };
        let device = state
            .in_device()
            .map(|device| (device.ifindex(), device.name()));
        assert_eq!(device, Some((7, *b"r0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")));
        assert!(state.out_device().is_none());
    }

    #[test]
    fn families() {
        let mut known = 0;
        for pf in 0..=u8::MAX {
            if let Some(family) = Family::from_raw(pf) {
                assert_eq!(family as u8, pf);
                assert!(Family::ALL.contains(&family));
                assert!(family.chains().len() < usize::from(HookState::MAX_HOOKS));
                known += 1;
            }
        }
        assert_eq!(known, Family::ALL.len());
    }

    #[test]
    fn hooks() {
        for hook in 0..=u8::MAX {
            match Hook::from_raw(hook) {
                Some(known) => {
                    assert_eq!(known, Hook::ALL[hook as usize]);
                    assert_eq!(known.chain(), Hook::CHAINS[hook as usize]);
                }
                None => assert!(hook >= 6),
            }
        }
        for (number, hook) in ArpHook::ALL.into_iter().enumerate() {
            assert_eq!(hook as usize, number);
            assert_eq!(hook.chain(), ArpHook::CHAINS[number]);
        }
    }
}
