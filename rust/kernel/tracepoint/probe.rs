// SPDX-License-Identifier: GPL-2.0

//! Probes: functions that a tracepoint calls.

use core::{
    marker::{
        PhantomData,
        PhantomPinned, //
    },
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
/// - [`Self::as_raw`] returns a tracepoint that is valid while the module that called it is
///   loaded.
/// - [`Self::callback`] returns a function that has the prototype of the tracepoint's probes, takes
///   a pointer to a `P` as its data, and may run wherever the tracepoint is. It is code of the
///   module that called [`Self::callback`].
pub unsafe trait Tracepoint: Sized {
    /// The arguments of the event, borrowed for the duration of the call.
    type Args<'a>;

    /// Returns the C tracepoint.
    #[doc(hidden)]
    fn as_raw() -> *mut bindings::tracepoint;

    /// Returns the C function that calls [`Probe::probe`].
    #[doc(hidden)]
    fn callback<P: Probe<Self>>() -> *mut c_void;
}

/// A function that the tracepoint `T` calls, and its data.
///
/// A type may implement `Probe` for several tracepoints.
///
/// # Examples
///
/// A probe for any tracepoint that counts how often it is hit.
///
/// ```
/// use kernel::{
///     percpu::{
///         self,
///         PerCpu, //
///     },
///     tracepoint::{
///         Probe,
///         Tracepoint, //
///     }, //
/// };
///
/// struct Hits(PerCpu<usize>);
///
/// impl<T: Tracepoint> Probe<T> for Hits {
///     fn probe(&self, _args: T::Args<'_>) {
///         percpu::field!(self.0).add(1);
///     }
/// }
/// ```
pub trait Probe<T: Tracepoint>: Sync + 'static {
    /// Called whenever the tracepoint is hit, on the CPU that hit it; possibly on several CPUs at
    /// the same time.
    ///
    /// The probe runs in the context of the traced code, but must not sleep. It can be re-entered
    /// where that code can be interrupted or call itself. It must not hit its own tracepoint on
    /// every call. See `Documentation/rust/tracepoint-probes.rst`.
    ///
    /// The data that `args` refers to is valid until the function returns.
    fn probe(&self, args: T::Args<'_>);
}

/// The registration of a probe on the tracepoint `T`.
///
/// The probe may run as soon as its data is initialised, before [`Self::new`] has returned.
/// Dropping a registration unregisters the probe, waits until no CPU runs it, and then drops its
/// data; this may sleep.
///
/// A leaked registration stays registered until the module that created it is unloaded.
///
/// # Examples
///
/// A probe that counts dropped packets, with the definition of its tracepoint.
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
///     ) -> for<'a> u32 {
///         reason.0
///     }
/// }
///
/// struct Drops(PerCpu<u64>);
///
/// impl Probe<KfreeSkb> for Drops {
///     fn probe(&self, _reason: u32) {
///         percpu::field!(self.0).add(1);
///     }
/// }
///
/// let drops = Drops(PerCpu::new_zeroed(GFP_KERNEL)?);
/// let registration = KBox::pin_init(Registration::<KfreeSkb, _>::new(drops), GFP_KERNEL)?;
/// let _so_far = percpu::field!(registration.0).sum();
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `probe` is registered on `T` by `T::callback::<P>()`, with its own address as the data, until
/// the module that the callback is part of is unloaded.
#[pin_data(PinnedDrop)]
pub struct Registration<T: Tracepoint, P: Probe<T>> {
    #[pin]
    probe: P,

    /// The tracepoint holds the address of `probe`.
    #[pin]
    _pin: PhantomPinned,

    _tracepoint: PhantomData<fn() -> T>,
}

impl<T: Tracepoint, P: Probe<T>> Registration<T, P> {
    /// Registers `probe` on the tracepoint. May sleep.
    ///
    /// # Errors
    ///
    /// Fails if the initialisation of `probe` fails, or with the errors of
    /// `tracepoint_probe_register()`, such as [`ENOMEM`]. Nothing stays registered then, and
    /// `probe` has been dropped. Two probes of a zero-sized `P` may have the same address: the
    /// second registration then fails with [`EEXIST`].
    pub fn new<E>(probe: impl PinInit<P, E>) -> impl PinInit<Self, Error>
    where
        Error: From<E>,
    {
        // INVARIANT: Registered in the last step, after all data is initialised.
        try_pin_init!(&this in Self {
            probe <- probe,
            _pin: PhantomPinned,
            _tracepoint: PhantomData,
            _: {
                // SAFETY:
                // - The tracepoint is valid and the callback has its prototype, by the
                //   requirements of `Tracepoint`.
                // - The data is the initialised `probe`, which is `'static` and pinned, so that
                //   it stays valid until `Self` is dropped, or forever.
                // - If `Self` is not dropped, the C side removes the callback before the module
                //   that it is part of is unloaded.
                to_result(unsafe {
                    bindings::tracepoint_probe_register_prio_may_exist(
                        T::as_raw(),
                        T::callback::<P>(),
                        (&raw mut (*this.as_ptr()).probe).cast(),
                        bindings::TRACEPOINT_DEFAULT_PRIO as c_int,
                    )
                })?;
            },
        })
    }
}

impl<T: Tracepoint, P: Probe<T>> Deref for Registration<T, P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.probe
    }
}

#[pinned_drop]
impl<T: Tracepoint, P: Probe<T>> PinnedDrop for Registration<T, P> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants, exactly this callback and data are registered: the
        // module is loaded, as this code is part of it. Unregistering them cannot fail, short of
        // an allocation failure that the C side handles by leaving a stub.
        unsafe {
            bindings::tracepoint_probe_unregister(
                T::as_raw(),
                T::callback::<P>(),
                (&raw const self.probe).cast_mut().cast(),
            )
        };

        // Other CPUs may still run the probe: its data, and the code of this module, must stay
        // until they have returned from it.
        //
        // SAFETY: The only requirement is that this may sleep, as the type documents.
        unsafe { bindings::tracepoint_synchronize_unregister() };
    }
}

/// Defines a type for a C tracepoint, for use as the parameter of [`Probe`].
///
/// The arguments are those of the event's `TP_PROTO()`; the build fails if they differ. The body
/// runs before each probe and converts them to the type after the arrow, which the probe receives.
/// That type may borrow from the arguments for the named lifetime, which ends with the call.
///
/// The header that declares the event must be included in `rust/bindings/bindings_helper.h`, and
/// the tracepoint be exported to modules by `EXPORT_TRACEPOINT_SYMBOL_GPL()`. For each enum among
/// the arguments, `rust/bindgen_parameters` must have the name by which kCFI identifies it.
///
/// # Examples
///
/// ```
/// use kernel::{
///     bindings,
///     tracepoint, //
/// };
///
/// tracepoint::define_tracepoint! {
///     /// A processed packet is freed; the probe receives its length.
///     pub struct ConsumeSkb: consume_skb(
///         skb: *mut bindings::sk_buff,
///         _location: *mut c_void,
///     ) -> for<'a> u32 {
///         // SAFETY: The packet is freed after the call.
///         unsafe { (*skb).len }
///     }
/// }
/// ```
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
            // Check the arguments against the prototype that bindgen took from C.
            const _: unsafe extern "C" fn(
                *mut $crate::ffi::c_void,
                $($type),*
            ) -> $crate::ffi::c_int = $crate::bindings::[< __traceiter_ $event >];

            // SAFETY: The tracepoint is a static of the kernel or of a module that this one
            // depends on by its symbol. The callback has the prototype checked above.
            unsafe impl $crate::tracepoint::Tracepoint for $name {
                type Args<$life> = $args;

                // Inlined, so that the user of the tracepoint references its symbol.
                #[inline(always)]
                fn as_raw() -> *mut $crate::bindings::tracepoint {
                    &raw mut $crate::bindings::[< __tracepoint_ $event >]
                }

                #[inline(always)]
                fn callback<P: $crate::tracepoint::Probe<Self>>() -> *mut $crate::ffi::c_void {
                    /// # Safety
                    ///
                    /// To be called by the tracepoint, with a pointer to the registered `P`.
                    unsafe extern "C" fn callback<P: $crate::tracepoint::Probe<$name>>(
                        data: *mut $crate::ffi::c_void,
                        $($arg: $type),*
                    ) {
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

#[cfg(CONFIG_RUST_TRACEPOINT_KUNIT_TEST)]
#[macros::kunit_tests(rust_tracepoint)]
mod tests {
    use super::*;
    use crate::sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    };

    /// A reason for which nothing else drops a packet while the tests run.
    const REASON: bindings::skb_drop_reason =
        bindings::skb_drop_reason::SKB_DROP_REASON_TCP_FASTOPEN;

    define_tracepoint! {
        /// A packet is dropped.
        struct Dropped: kfree_skb(
            skb: *mut bindings::sk_buff,
            _location: *mut c_void,
            reason: bindings::skb_drop_reason,
            _rx_sk: *const bindings::sock,
        ) -> for<'a> (*mut bindings::sk_buff, bindings::skb_drop_reason) {
            (skb, reason)
        }
    }

    /// Hits the tracepoint: allocates a packet and drops it. Returns its address.
    fn hit() -> Result<usize> {
        // SAFETY: There is no requirement.
        let skb = unsafe { bindings::__alloc_skb(64, GFP_KERNEL.as_raw(), 0, -1) };
        if skb.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: The packet is ours; there is no socket.
        unsafe { bindings::sk_skb_reason_drop(core::ptr::null(), skb, REASON) };
        Ok(skb as usize)
    }

    struct Log {
        calls: Atomic<usize>,
        last: Atomic<usize>,
        dropped: Atomic<usize>,
    }

    impl Log {
        fn new() -> Result<Arc<Self>> {
            let log = Self {
                calls: Atomic::new(0),
                last: Atomic::new(0),
                dropped: Atomic::new(0),
            };
            Ok(Arc::new(log, GFP_KERNEL)?)
        }

        fn calls(&self) -> usize {
            self.calls.load(Relaxed)
        }
    }

    struct Logger(Arc<Log>);

    impl Probe<Dropped> for Logger {
        fn probe(&self, (skb, reason): (*mut bindings::sk_buff, bindings::skb_drop_reason)) {
            if reason == REASON {
                self.0.calls.add(1, Relaxed);
                self.0.last.store(skb as usize, Relaxed);
            }
        }
    }

    impl Drop for Logger {
        fn drop(&mut self) {
            self.0.dropped.add(1, Relaxed);
        }
    }

    type Registered<P> = Pin<KBox<Registration<Dropped, P>>>;

    fn register(log: &Arc<Log>) -> Result<Registered<Logger>> {
        KBox::pin_init(Registration::new(Logger(log.clone())), GFP_KERNEL)
    }

    #[test]
    fn called_from_registration_to_drop() -> Result {
        let log = Log::new()?;

        hit()?;
        let registration = register(&log)?;
        assert_eq!(log.calls(), 0);
        let skb = hit()?;
        assert_eq!(log.calls(), 1);
        assert_eq!(log.last.load(Relaxed), skb);
        assert_eq!(registration.0.calls(), 1);
        hit()?;
        assert_eq!(log.calls(), 2);

        assert_eq!(log.dropped.load(Relaxed), 0);
        drop(registration);
        assert_eq!(log.dropped.load(Relaxed), 1);
        hit()?;
        assert_eq!(log.calls(), 2);
        Ok(())
    }

    #[test]
    fn several_probes_dropped_in_any_order() -> Result {
        let logs = [Log::new()?, Log::new()?, Log::new()?];
        let [first, second, third] = &logs;
        let calls = || [first.calls(), second.calls(), third.calls()];

        let a = register(first)?;
        let b = register(second)?;
        let c = register(third)?;
        hit()?;
        assert_eq!(calls(), [1, 1, 1]);
        drop(b);
        hit()?;
        assert_eq!(calls(), [2, 1, 2]);
        drop(a);
        hit()?;
        assert_eq!(calls(), [2, 1, 3]);
        drop(c);
        hit()?;
        assert_eq!(calls(), [2, 1, 3]);
        Ok(())
    }

    #[test]
    fn not_called_before_it_is_initialised() -> Result {
        let log = Log::new()?;
        let clone = log.clone();

        // SAFETY: The closure initialises the slot, unless it fails.
        let late = unsafe {
            pin_init::pin_init_from_closure(move |slot: *mut Logger| -> Result {
                hit()?;
                slot.write(Logger(clone));
                hit()?;
                Ok(())
            })
        };
        let registration = KBox::pin_init(Registration::<Dropped, _>::new(late), GFP_KERNEL)?;
        assert_eq!(log.calls(), 0);
        hit()?;
        assert_eq!(log.calls(), 1);
        drop(registration);
        Ok(())
    }

    #[test]
    fn not_registered_when_its_initialisation_fails() -> Result {
        // SAFETY: The closure fails and leaves the slot alone.
        let fails = unsafe {
            pin_init::pin_init_from_closure(|_slot: *mut Logger| -> Result { Err(EBADF) })
        };
        let registration = KBox::pin_init(Registration::<Dropped, _>::new(fails), GFP_KERNEL);
        assert_eq!(registration.err(), Some(EBADF));
        hit()?;
        Ok(())
    }

    static NOTHING: Atomic<usize> = Atomic::new(0);

    /// Zero-sized, and so without an address of its own.
    struct Nothing;

    impl Probe<Dropped> for Nothing {
        fn probe(&self, (_, reason): (*mut bindings::sk_buff, bindings::skb_drop_reason)) {
            if reason == REASON {
                NOTHING.add(1, Relaxed);
            }
        }
    }

    #[test]
    fn registered_twice() -> Result {
        let register = || -> Result<Registered<Nothing>> {
            KBox::pin_init(Registration::new(Nothing), GFP_KERNEL)
        };

        let first = register()?;
        assert_eq!(register().err(), Some(EEXIST));
        // The failed registration does not unregister the first one.
        hit()?;
        assert_eq!(NOTHING.load(Relaxed), 1);
        drop(first);
        hit()?;
        assert_eq!(NOTHING.load(Relaxed), 1);
        drop(register()?);
        Ok(())
    }

    #[test]
    fn dropped_when_container_init_fails() -> Result {
        #[pin_data]
        struct Pair {
            #[pin]
            registration: Registration<Dropped, Logger>,
            second: u32,
        }

        let log = Log::new()?;
        let clone = log.clone();
        let pair = KBox::pin_init(
            try_pin_init!(Pair {
                registration <- Registration::new(Logger(clone)),
                second: Err(EBADF)?,
            }? Error),
            GFP_KERNEL,
        );
        assert_eq!(pair.err(), Some(EBADF));
        assert_eq!(log.dropped.load(Relaxed), 1);
        hit()?;
        assert_eq!(log.calls(), 0);
        Ok(())
    }

    /// Hits its own tracepoint, once.
    struct Nested(Arc<Log>);

    impl Probe<Dropped> for Nested {
        fn probe(&self, (_, reason): (*mut bindings::sk_buff, bindings::skb_drop_reason)) {
            if reason != REASON {
                return;
            }
            self.0.calls.add(1, Relaxed);
            let skb = self.0.last.xchg(0, Relaxed);
            if skb != 0 {
                // SAFETY: The test has stored a packet of its own there.
                unsafe { bindings::sk_skb_reason_drop(core::ptr::null(), skb as *mut _, REASON) };
            }
        }
    }

    #[test]
    fn probe_recurses() -> Result {
        let log = Log::new()?;
        let registration = KBox::pin_init(
            Registration::<Dropped, _>::new(Nested(log.clone())),
            GFP_KERNEL,
        )?;

        // SAFETY: There is no requirement.
        let skb = unsafe { bindings::__alloc_skb(64, GFP_KERNEL.as_raw(), 0, -1) };
        assert!(!skb.is_null());
        log.last.store(skb as usize, Relaxed);
        hit()?;
        assert_eq!(log.calls(), 2);
        drop(registration);
        Ok(())
    }
}
