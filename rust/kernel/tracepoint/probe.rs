// SPDX-License-Identifier: GPL-2.0

//! Probes: functions that a tracepoint calls.

use core::{
    marker::PhantomPinned,
    ops::Deref, //
};

use crate::{
    bindings,
    error::to_result,
    prelude::*, //
};

/// A tracepoint that a [`Probe`] can be registered on.
///
/// Implemented by [`define_tracepoint!`](crate::tracepoint::define_tracepoint).
///
/// # Safety
///
/// - [`Self::as_raw`] returns a tracepoint that is valid while the caller's module is loaded.
/// - [`Self::callback`] returns a function that has the prototype of the tracepoint's probes, takes
///   a pointer to a `P` as its data, and may run wherever the tracepoint is.
pub unsafe trait Tracepoint {
    /// The arguments of the event, borrowed for the call of a probe.
    type Args<'a>;

    /// Returns the C tracepoint.
    fn as_raw() -> *mut bindings::tracepoint;

    /// Returns the C function that calls [`Probe::probe`].
    fn callback<P: Probe<Tracepoint = Self>>() -> *mut c_void;
}

/// A function that a tracepoint calls, and the data that it works on.
///
/// See [`Registration`] for an example.
pub trait Probe: Sync + 'static {
    /// The tracepoint.
    type Tracepoint: Tracepoint;

    /// Called whenever the tracepoint is hit, on the CPU that hit it, also on several at a time.
    ///
    /// The context is that of the code that the tracepoint is in, with preemption or migration
    /// disabled as the kernel has it: a probe must not sleep. Where the traced code can interrupt
    /// or call itself, so can the probe.
    fn probe(&self, args: <Self::Tracepoint as Tracepoint>::Args<'_>);
}

/// The registration of a probe on its tracepoint.
///
/// The probe may run from the moment that its data is initialised, before the registration itself
/// has returned. Dropping a registration unregisters the probe, waits until no CPU runs it any
/// more, and then drops its data; it may sleep.
///
/// # Examples
///
/// A probe that counts dropped packets by way of the `kfree_skb` tracepoint.
///
/// ```
/// use kernel::{
///     bindings,
///     percpu::{
///         self,
///         PerCpu, //
///     },
///     tracepoint::{
///         self,
///         Probe,
///         Registration, //
///     }, //
/// };
///
/// tracepoint::define_tracepoint! {
///     /// A packet is dropped.
///     struct KfreeSkb: kfree_skb(
///         _skb: *mut bindings::sk_buff,
///         _location: *mut c_void,
///         reason: bindings::skb_drop_reason,
///         _rx_sk: *const bindings::sock,
///     ) -> for<'a> bindings::skb_drop_reason {
///         reason
///     }
/// }
///
/// struct Drops(PerCpu<u64>);
///
/// impl Probe for Drops {
///     type Tracepoint = KfreeSkb;
///
///     fn probe(&self, _reason: bindings::skb_drop_reason) {
///         percpu::field!(self.0).add(1);
///     }
/// }
///
/// let drops = Drops(PerCpu::new_zeroed(GFP_KERNEL)?);
/// let registration = KBox::pin_init(Registration::new(drops), GFP_KERNEL)?;
/// let _so_far = percpu::field!(registration.0).sum();
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `probe` is registered on its tracepoint, with its own address as the data of the callback.
#[pin_data(PinnedDrop)]
pub struct Registration<P: Probe> {
    #[pin]
    probe: P,

    /// The tracepoint holds the address of `probe`.
    #[pin]
    _pin: PhantomPinned,
}

impl<P: Probe> Registration<P> {
    /// Registers `probe` on its tracepoint. May sleep.
    ///
    /// Errors are those of `probe`'s own initialisation and of `tracepoint_probe_register()`,
    /// such as `ENOMEM`; nothing stays registered then.
    pub fn new<E>(probe: impl PinInit<P, E>) -> impl PinInit<Self, Error>
    where
        Error: From<E>,
    {
        // INVARIANT: Registered in the last step, after all data is initialised.
        try_pin_init!(&this in Self {
            probe <- probe,
            _pin: PhantomPinned,
            _: {
                // SAFETY: The tracepoint is valid and the callback has its prototype, by the
                // requirements of `Tracepoint`. The data is the initialised `probe`, which is
                // pinned, so that it stays in place until it is unregistered on drop.
                to_result(unsafe {
                    bindings::tracepoint_probe_register(
                        P::Tracepoint::as_raw(),
                        P::Tracepoint::callback::<P>(),
                        (&raw mut (*this.as_ptr()).probe).cast(),
                    )
                })?;
            },
        })
    }
}

impl<P: Probe> Deref for Registration<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.probe
    }
}

#[pinned_drop]
impl<P: Probe> PinnedDrop for Registration<P> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants, exactly this callback and data are registered.
        // Unregistering them cannot fail, short of an allocation failure that the C side handles
        // by leaving a stub.
        unsafe {
            bindings::tracepoint_probe_unregister(
                P::Tracepoint::as_raw(),
                P::Tracepoint::callback::<P>(),
                (&raw const self.probe).cast_mut().cast(),
            )
        };

        // Other CPUs may still run the probe: its data, and the code of this module, must stay
        // until they are through.
        //
        // SAFETY: There is no requirement but that this may sleep, as the type documents.
        unsafe { bindings::tracepoint_synchronize_unregister() };
    }
}

/// Defines a type for a tracepoint of the C side, for a [`Probe`] to name.
///
/// The arguments are those of the event's `TP_PROTO()`; the build fails if they differ. The body
/// runs before each probe and turns them into the type after the arrow, which is what the probe
/// sees. That type may borrow from the arguments for the named lifetime, which ends with the call.
///
/// The header that declares the event must be in `rust/bindings/bindings_helper.h`, and the
/// tracepoint be exported to modules by `EXPORT_TRACEPOINT_SYMBOL_GPL()`.
///
/// See [`Registration`] for an example.
#[macro_export]
#[doc(hidden)]
macro_rules! define_tracepoint {
    (
        $(#[$attr:meta])*
        $vis:vis struct $name:ident: $event:ident(
            $($arg:ident: $type:ty),* $(,)?
        ) -> for<$life:lifetime> $args:ty $body:block
    ) => {
        $(#[$attr])*
        $vis struct $name;

        $crate::macros::paste! {
            // The prototype that bindgen took from the C declaration.
            const _: unsafe extern "C" fn(
                *mut $crate::ffi::c_void,
                $($type),*
            ) -> $crate::ffi::c_int = $crate::bindings::[< __traceiter_ $event >];

            // SAFETY: The tracepoint is a static of the kernel or of a module that this one
            // depends on by its symbol. The callback has the prototype checked above.
            unsafe impl $crate::tracepoint::Tracepoint for $name {
                type Args<$life> = $args;

                // Inlined, so that only users of the tracepoint refer to its symbol.
                #[inline(always)]
                fn as_raw() -> *mut $crate::bindings::tracepoint {
                    &raw mut $crate::bindings::[< __tracepoint_ $event >]
                }

                #[inline(always)]
                fn callback<P>() -> *mut $crate::ffi::c_void
                where
                    P: $crate::tracepoint::Probe<Tracepoint = Self>,
                {
                    /// # Safety
                    ///
                    /// To be called by the tracepoint, with a pointer to the registered `P`.
                    unsafe extern "C" fn callback<P>(
                        data: *mut $crate::ffi::c_void,
                        $($arg: $type),*
                    ) where
                        P: $crate::tracepoint::Probe<Tracepoint = $name>,
                    {
                        // SAFETY: `Registration` passes a pointer to the probe, which is valid
                        // until it is unregistered and all calls have returned.
                        let probe = unsafe { &*data.cast::<P>() };

                        P::probe(probe, $body);
                    }

                    callback::<P> as unsafe extern "C" fn(*mut $crate::ffi::c_void, $($type),*)
                        as *mut $crate::ffi::c_void
                }
            }
        }
    };
}
#[doc(inline)]
pub use define_tracepoint;
