// SPDX-License-Identifier: GPL-2.0

//! Probes: functions that a tracepoint calls.

use core::marker::PhantomData;

use crate::{
    bindings,
    error::to_result,
    prelude::*,
    types::ForeignOwnable, //
};

/// A tracepoint that a [`Probe`] can be registered on.
///
/// Implemented by [`impl_tracepoint!`](crate::tracepoint::impl_tracepoint).
///
/// # Safety
///
/// - [`Self::as_raw`] returns a tracepoint that is valid while the module that called it is
///   loaded.
/// - [`Self::callback`] returns a function that has the prototype of the tracepoint's probes, takes
///   what [`ForeignOwnable::into_foreign`] returned for a `P::Data` as its data, only borrows it,
///   and may run wherever the tracepoint is. It is code of the module that called
///   [`Self::callback`].
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

/// A function that the tracepoint `T` calls, and the type of its data.
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
///         PerCpu,
///         PerCpuPtr, //
///     },
///     tracepoint::{
///         Probe,
///         Tracepoint, //
///     }, //
/// };
///
/// struct Hits;
///
/// impl<T: Tracepoint> Probe<T> for Hits {
///     type Data = PerCpu<usize>;
///
///     fn probe(hits: PerCpuPtr<'_, usize>, _args: T::Args<'_>) {
///         hits.this_cpu_add(1);
///     }
/// }
/// ```
pub trait Probe<T: Tracepoint> {
    /// A pointer to the data of the probe, such as [`KBox<Self>`](KBox), `Arc<Self>`,
    /// [`PerCpu`](crate::percpu::PerCpu), or `()`.
    ///
    /// The tracepoint owns it and passes it to each call. All CPUs share the data, and a leaked
    /// [`Registration`] keeps it forever.
    type Data: ForeignOwnable + Send + Sync + 'static;

    /// Called whenever the tracepoint is hit, on the CPU that hit it; possibly on several CPUs at
    /// the same time.
    ///
    /// The probe runs in the context of the traced code, but must not sleep. It can be re-entered
    /// where that code can be interrupted or call itself. It must not hit its own tracepoint on
    /// every call. See `Documentation/rust/tracepoint-probes.rst`.
    ///
    /// The data that `args` refers to is valid until the function returns.
    fn probe(data: <Self::Data as ForeignOwnable>::Borrowed<'_>, args: T::Args<'_>);
}

/// The registration of the probe `P` on the tracepoint `T`.
///
/// The probe may run before [`Self::new`] has returned. Dropping a registration unregisters the
/// probe, waits until no CPU runs it, and then drops its data; this may sleep.
///
/// A leaked registration stays registered until the module that created it is unloaded, and leaks
/// the data.
///
/// # Examples
///
/// A probe that counts new tasks, with the definition of its tracepoint.
///
/// ```
/// use kernel::{
///     bindings,
///     percpu::{
///         PerCpu,
///         PerCpuPtr, //
///     },
///     tracepoint::{
///         self,
///         Probe,
///         Registration, //
///     }, //
/// };
///
/// tracepoint::impl_tracepoint! {
///     /// A task was created; the probe receives its `CLONE_*` flags.
///     struct TaskNewtask: task_newtask(
///         _task: *mut bindings::task_struct,
///         clone_flags: u64,
///     ) -> for<'a> u64 {
///         clone_flags
///     }
/// }
///
/// struct NewTasks;
///
/// impl Probe<TaskNewtask> for NewTasks {
///     type Data = PerCpu<usize>;
///
///     fn probe(tasks: PerCpuPtr<'_, usize>, _clone_flags: u64) {
///         tasks.this_cpu_add(1);
///     }
/// }
///
/// let new_tasks = Registration::<TaskNewtask, NewTasks>::new(PerCpu::new_zeroed(GFP_KERNEL)?)?;
/// let _so_far = new_tasks.data().sum();
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// - `callback` was returned by `T::callback::<P>()`, and is registered on `T` with `data` until
///   the module that it is part of is unloaded.
/// - `data` was returned by [`ForeignOwnable::into_foreign`] for a `P::Data`, which `self` owns.
pub struct Registration<T: Tracepoint, P: Probe<T>> {
    // Kept because a generic function can have another address in each crate that uses it.
    callback: *mut c_void,
    // Not a `P::Data`: whatever safe code wraps a registration in, it cannot free the data without
    // running `drop()`.
    data: *mut c_void,
    _tracepoint: PhantomData<fn() -> T>,
    _data: PhantomData<P::Data>,
}

// SAFETY: A registration can be dropped in any thread, and `P::Data` is `Send`.
unsafe impl<T: Tracepoint, P: Probe<T>> Send for Registration<T, P> {}

// SAFETY: A shared registration only gives access to a borrowed `P::Data`, which is `Sync`.
unsafe impl<T: Tracepoint, P: Probe<T>> Sync for Registration<T, P> {}

impl<T: Tracepoint, P: Probe<T>> Registration<T, P> {
    /// Registers the probe on the tracepoint. May sleep.
    ///
    /// # Errors
    ///
    /// Fails with the errors of `tracepoint_probe_register()`, such as [`ENOMEM`]. Nothing stays
    /// registered then, and `data` has been dropped. A tracepoint takes the same function with the
    /// same data only once: a probe without data, or with another clone of an `Arc`, fails with
    /// [`EEXIST`] while the first one is registered.
    pub fn new(data: P::Data) -> Result<Self> {
        let callback = T::callback::<P>();
        let data = data.into_foreign();

        // SAFETY:
        // - The tracepoint is valid and the callback has its prototype, by the requirements of
        //   `Tracepoint`.
        // - `data` is `'static` and may be borrowed by any thread. It stays valid until `Self` is
        //   dropped, or forever.
        // - If `Self` is not dropped, the C side removes the callback before the module that it is
        //   part of is unloaded; unless the module of the tracepoint was loaded by force, which
        //   taints the kernel.
        let registered = to_result(unsafe {
            bindings::tracepoint_probe_register_prio_may_exist(
                T::as_raw(),
                callback,
                data,
                bindings::TRACEPOINT_DEFAULT_PRIO as c_int,
            )
        });
        if let Err(error) = registered {
            // SAFETY: `data` was returned by `into_foreign()` above, and nothing else has it.
            drop(unsafe { P::Data::from_foreign(data) });
            return Err(error);
        }

        // INVARIANT: As just registered.
        Ok(Self {
            callback,
            data,
            _tracepoint: PhantomData,
            _data: PhantomData,
        })
    }

    /// Borrows the data of the probe.
    pub fn data(&self) -> <P::Data as ForeignOwnable>::Borrowed<'_> {
        // SAFETY: By the type invariants; `from_foreign()` is called only when `self` is dropped.
        unsafe { P::Data::borrow(self.data) }
    }
}

impl<T: Tracepoint, P: Probe<T>> Drop for Registration<T, P> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, exactly this callback and data are registered: the
        // module is loaded, as this code is part of it. Unregistering them cannot fail, short of
        // an allocation failure that the C side handles by leaving a stub.
        unsafe { bindings::tracepoint_probe_unregister(T::as_raw(), self.callback, self.data) };

        // Other CPUs may still run the probe: its data, and the code of this module, must stay
        // until they have returned from it.
        //
        // SAFETY: The only requirement is that this may sleep, as the type documents.
        unsafe { bindings::tracepoint_synchronize_unregister() };

        // SAFETY: By the type invariants. All borrows have ended: the probe is neither running nor
        // registered any more.
        drop(unsafe { P::Data::from_foreign(self.data) });
    }
}

/// Defines a type that implements [`Tracepoint`] for a tracepoint of C, for use as the parameter of
/// [`Probe`].
///
/// The arguments are those of the event's `TP_PROTO()`; the build fails if they differ. The body
/// runs before each probe and converts them to the type after the arrow, which the probe receives.
/// That type may borrow from the arguments for the named lifetime, which ends with the call.
///
/// The header that declares the event must be included in `rust/bindings/bindings_helper.h`, and
/// the tracepoint be exported to modules by `EXPORT_TRACEPOINT_SYMBOL_GPL()`. For each enum among
/// the arguments, `rust/bindgen_parameters` must have the name by which kCFI identifies it.
///
/// To call a tracepoint from Rust code, use [`declare_trace!`](crate::declare_trace) instead.
///
/// # Examples
///
/// ```
/// use kernel::{
///     bindings,
///     tracepoint, //
/// };
///
/// tracepoint::impl_tracepoint! {
///     /// A task was created; the probe receives its PID in the initial namespace.
///     pub struct TaskNewtask: task_newtask(
///         task: *mut bindings::task_struct,
///         _clone_flags: u64,
///     ) -> for<'a> bindings::pid_t {
///         // SAFETY: The task cannot exit before the tracepoint returns.
///         unsafe { (*task).pid }
///     }
/// }
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! impl_tracepoint {
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
                    // A function of its own, because the body of an `unsafe fn` could contain
                    // unsafe operations without an `unsafe` block.
                    #[inline(always)]
                    #[allow(clippy::extra_unused_lifetimes)]
                    fn args<$life>($($arg: $type),*) -> $args $body

                    /// # Safety
                    ///
                    /// To be called by the tracepoint, with the registered data.
                    unsafe extern "C" fn callback<P: $crate::tracepoint::Probe<$name>>(
                        data: *mut $crate::ffi::c_void,
                        $($arg: $type),*
                    ) {
                        // SAFETY: `Registration` passes what `into_foreign()` returned, and takes
                        // it back after it is unregistered and all calls have returned.
                        let data = unsafe {
                            <P::Data as $crate::types::ForeignOwnable>::borrow(data)
                        };

                        P::probe(data, args($($arg),*));
                    }

                    callback::<P> as unsafe extern "C" fn(*mut $crate::ffi::c_void, $($type),*)
                        as *mut $crate::ffi::c_void
                }
            }
        }
    };
}
#[doc(inline)]
pub use impl_tracepoint;

#[cfg(CONFIG_RUST_TRACEPOINT_KUNIT_TEST)]
#[macros::kunit_tests(rust_tracepoint)]
mod tests {
    use super::*;
    use crate::{
        percpu::{
            PerCpu,
            PerCpuPtr, //
        },
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            Arc,
            ArcBorrow, //
        }, //
    };

    /// A reason for which nothing else drops a packet while the tests run.
    const REASON: bindings::skb_drop_reason =
        bindings::skb_drop_reason::SKB_DROP_REASON_TCP_FASTOPEN;

    impl_tracepoint! {
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

    type Args = (*mut bindings::sk_buff, bindings::skb_drop_reason);

    /// Allocates a packet.
    fn packet() -> Result<*mut bindings::sk_buff> {
        // SAFETY: There is no requirement.
        let skb = unsafe { bindings::__alloc_skb(64, GFP_KERNEL.as_raw(), 0, -1) };
        if skb.is_null() {
            return Err(ENOMEM);
        }
        Ok(skb)
    }

    /// Hits the tracepoint: allocates a packet and drops it. Returns its address.
    fn hit() -> Result<usize> {
        let skb = packet()?;
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
        type Data = KBox<Self>;

        fn probe(this: &Self, (skb, reason): Args) {
            if reason == REASON {
                this.0.calls.add(1, Relaxed);
                this.0.last.store(skb as usize, Relaxed);
            }
        }
    }

    impl Drop for Logger {
        fn drop(&mut self) {
            self.0.dropped.add(1, Relaxed);
        }
    }

    fn register(log: &Arc<Log>) -> Result<Registration<Dropped, Logger>> {
        Registration::new(KBox::new(Logger(log.clone()), GFP_KERNEL)?)
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
        assert_eq!(registration.data().0.calls(), 1);
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
    fn registrations_can_be_moved() -> Result {
        let logs = [Log::new()?, Log::new()?];
        let [first, second] = &logs;
        let calls = || [first.calls(), second.calls()];

        let mut a = KBox::new(register(first)?, GFP_KERNEL)?;
        let mut b = register(second)?;
        core::mem::swap(&mut *a, &mut b);
        hit()?;
        assert_eq!(calls(), [1, 1]);
        drop(b);
        hit()?;
        assert_eq!(calls(), [1, 2]);
        drop(KBox::into_inner(a));
        hit()?;
        assert_eq!(calls(), [1, 2]);
        Ok(())
    }

    /// Returns another function on each call, as `callback()` may for each crate that calls it.
    struct TwoAddresses;

    static SECOND: Atomic<usize> = Atomic::new(0);

    // SAFETY: As for `Dropped`; both functions have the prototype of its probes, and only borrow
    // their data.
    unsafe impl Tracepoint for TwoAddresses {
        type Args<'a> = ();

        fn as_raw() -> *mut bindings::tracepoint {
            Dropped::as_raw()
        }

        fn callback<P: Probe<Self>>() -> *mut c_void {
            /// # Safety
            ///
            /// To be called by the tracepoint, with the registered data.
            unsafe extern "C" fn callback<P: Probe<TwoAddresses>, const N: usize>(
                data: *mut c_void,
                _skb: *mut bindings::sk_buff,
                _location: *mut c_void,
                _reason: bindings::skb_drop_reason,
                _rx_sk: *const bindings::sock,
            ) {
                // The functions have to differ: the compiler may merge equal ones.
                SECOND.add(N, Relaxed);
                // SAFETY: As for `impl_tracepoint!`.
                P::probe(unsafe { P::Data::borrow(data) }, ());
            }

            type Callback = unsafe extern "C" fn(
                *mut c_void,
                *mut bindings::sk_buff,
                *mut c_void,
                bindings::skb_drop_reason,
                *const bindings::sock,
            );
            static CALLS: Atomic<usize> = Atomic::new(0);
            let callback: Callback = if CALLS.fetch_add(1, Relaxed) % 2 == 0 {
                callback::<P, 0>
            } else {
                callback::<P, 1>
            };
            callback as *mut c_void
        }
    }

    struct Count;

    impl Probe<TwoAddresses> for Count {
        type Data = Arc<Log>;

        fn probe(log: ArcBorrow<'_, Log>, (): ()) {
            log.calls.add(1, Relaxed);
        }
    }

    #[test]
    fn unregisters_the_address_that_it_registered() -> Result {
        let log = Log::new()?;
        let registration = Registration::<TwoAddresses, Count>::new(log.clone())?;
        hit()?;
        assert!(log.calls() >= 1);

        drop(registration);
        let calls = log.calls();
        hit()?;
        assert_eq!(log.calls(), calls);
        Ok(())
    }

    struct Nothing;

    static NOTHING: Atomic<usize> = Atomic::new(0);

    impl Probe<Dropped> for Nothing {
        type Data = ();

        fn probe((): (), (_, reason): Args) {
            if reason == REASON {
                NOTHING.add(1, Relaxed);
            }
        }
    }

    #[test]
    fn registered_twice() -> Result {
        let register = || Registration::<Dropped, Nothing>::new(());

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

    /// Hits its own tracepoint, once.
    struct Nested;

    impl Probe<Dropped> for Nested {
        type Data = Arc<Log>;

        fn probe(log: ArcBorrow<'_, Log>, (_, reason): Args) {
            if reason != REASON {
                return;
            }
            log.calls.add(1, Relaxed);
            let skb = log.last.xchg(0, Relaxed);
            if skb != 0 {
                // SAFETY: The test has stored a packet of its own there.
                unsafe { bindings::sk_skb_reason_drop(core::ptr::null(), skb as *mut _, REASON) };
            }
        }
    }

    #[test]
    fn probe_recurses() -> Result {
        let log = Log::new()?;
        let registration = Registration::<Dropped, Nested>::new(log.clone())?;

        log.last.store(packet()? as usize, Relaxed);
        hit()?;
        assert_eq!(log.calls(), 2);
        drop(registration);
        Ok(())
    }

    #[test]
    fn data_is_dropped_when_registration_fails() -> Result {
        let log = Log::new()?;

        let first = Registration::<Dropped, Nested>::new(log.clone())?;
        let second = Registration::<Dropped, Nested>::new(log.clone());
        assert_eq!(second.err(), Some(EEXIST));
        hit()?;
        assert_eq!(log.calls(), 1);
        drop(first);
        // The last reference is ours.
        assert!(Arc::into_unique_or_drop(log).is_some());
        Ok(())
    }

    struct Hits;

    impl Probe<Dropped> for Hits {
        type Data = PerCpu<usize>;

        fn probe(hits: PerCpuPtr<'_, usize>, (_, reason): Args) {
            if reason == REASON {
                hits.this_cpu_add(1);
            }
        }
    }

    #[test]
    fn the_data_is_the_per_cpu_pointer() -> Result {
        let hits = PerCpu::<usize>::new_zeroed(GFP_KERNEL)?;
        let raw = hits.ptr().as_raw();

        let registration = Registration::<Dropped, Hits>::new(hits)?;
        assert_eq!(registration.data.cast(), raw);
        hit()?;
        hit()?;
        assert_eq!(registration.data().sum(), 2);
        Ok(())
    }
}
