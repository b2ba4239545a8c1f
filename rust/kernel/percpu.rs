// SPDX-License-Identifier: GPL-2.0

//! Dynamically allocated per-CPU data.
//!
//! A [`PerCpu<T>`] holds one `T` for every possible CPU. A CPU adds to the integers in its own copy
//! with an operation that preemption and interrupts cannot split, without a lock and without an
//! atomic instruction; any CPU may read the copy of any other.
//!
//! References to a copy are not available, because other contexts on the same CPU may change it at
//! any time. Integers are accessed by a [`PerCpuPtr`], and [`percpu::project!`] selects a field or
//! an element in all copies.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)
//!
//! [`percpu::project!`]: crate::percpu::project
//!
//! # Examples
//!
//! ```
//! use kernel::percpu::{
//!     self,
//!     PerCpu, //
//! };
//!
//! #[derive(Zeroable)]
//! struct Traffic {
//!     packets: usize,
//!     bytes: usize,
//! }
//!
//! let traffic = PerCpu::<[Traffic; 4]>::new_zeroed(GFP_KERNEL)?;
//!
//! // Allowed in interrupts, too.
//! percpu::project!(traffic, [build: 2].packets).this_cpu_add(1);
//! percpu::project!(traffic, [build: 2].bytes).this_cpu_add(1500);
//!
//! assert_eq!(percpu::project!(traffic, [build: 2].packets).sum(), 1);
//! assert_eq!(percpu::project!(traffic, [build: 2].bytes).sum(), 1500);
//! assert_eq!(percpu::project!(traffic, [build: 3].bytes).sum(), 0);
//! # Ok::<(), Error>(())
//! ```

use core::{
    marker::PhantomData,
    mem::{
        align_of,
        needs_drop,
        size_of,
        ManuallyDrop, //
    },
    ptr::NonNull, //
};

use crate::{
    alloc::{
        AllocError,
        Flags, //
    },
    bindings,
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    page::PAGE_SIZE,
    prelude::*,
    types::ForeignOwnable, //
};

/// The size of the largest per-CPU object in bytes. `PCPU_MIN_UNIT_SIZE` in C is this, or more with
/// large pages.
pub const MAX_SIZE: usize = 32 << 10;

/// One `T` for every possible CPU, initially zeroed and freed on drop.
///
/// C code can own it as a per-CPU pointer, by [`ForeignOwnable`].
///
/// # Examples
///
/// ```
/// use kernel::percpu::PerCpu;
///
/// struct Packets(PerCpu<usize>);
///
/// impl Packets {
///     fn count(&self) {
///         self.0.ptr().this_cpu_add(1);
///     }
/// }
///
/// let packets = Packets(PerCpu::new_zeroed(GFP_KERNEL)?);
/// packets.count();
/// assert_eq!(packets.0.ptr().sum(), 1);
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `ptr` was returned by the per-CPU allocator for the layout of `T` and is not freed before
/// `self` is dropped; the copy of every possible CPU is a valid `T`, and is only accessed by
/// [`PerCpuPtr`].
pub struct PerCpu<T> {
    ptr: NonNull<T>,
    _copies: PhantomData<T>,
}

// SAFETY: The allocation belongs to no thread, and the copies are only accessed as integers, by
// `PerCpuPtr`, which is free of data races.
unsafe impl<T> Send for PerCpu<T> {}

// SAFETY: As above.
unsafe impl<T> Sync for PerCpu<T> {}

impl<T: Zeroable> PerCpu<T> {
    /// Allocates a zeroed copy of `T` for every possible CPU.
    ///
    /// May sleep if `flags` allow it. The build fails if `T` is larger than [`MAX_SIZE`] bytes or
    /// has no size.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::percpu::PerCpu;
    ///
    /// let counter = PerCpu::<usize>::new_zeroed(GFP_KERNEL)?;
    ///
    /// assert_eq!(counter.ptr().sum(), 0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new_zeroed(flags: Flags) -> Result<Self, AllocError> {
        const {
            assert!(size_of::<T>() > 0 && size_of::<T>() <= MAX_SIZE);
            assert!(align_of::<T>() <= PAGE_SIZE);
            assert!(!needs_drop::<T>());
        }

        // SAFETY: The size is neither zero nor more than the allocator takes, the alignment is a
        // power of two of at most a page.
        let ptr = unsafe {
            bindings::__alloc_percpu_gfp(size_of::<T>(), align_of::<T>(), flags.as_raw())
        };

        // INVARIANT: The allocator zeroes all copies, which makes them valid by `T: Zeroable`.
        Ok(Self {
            ptr: NonNull::new(ptr.cast()).ok_or(AllocError)?,
            _copies: PhantomData,
        })
    }
}

impl<T> PerCpu<T> {
    /// Returns the per-CPU pointer.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::percpu::PerCpu;
    ///
    /// let counter = PerCpu::<u32>::new_zeroed(GFP_KERNEL)?;
    ///
    /// counter.ptr().this_cpu_add(1);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline(always)]
    pub fn ptr(&self) -> PerCpuPtr<'_, T> {
        // INVARIANT: By the invariants of `Self`, which cannot be dropped while it is borrowed.
        PerCpuPtr {
            ptr: self.ptr.as_ptr(),
            _copies: PhantomData,
        }
    }
}

impl<T> Drop for PerCpu<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, `ptr` is a live per-CPU allocation; all `PerCpuPtr`s that
        // borrowed it are gone. A `T` needs no drop.
        unsafe { bindings::free_percpu(self.ptr.as_ptr().cast()) };
    }
}

// SAFETY: The per-CPU pointer is not null, and the allocator has aligned it for `T`.
unsafe impl<T> ForeignOwnable for PerCpu<T> {
    const FOREIGN_ALIGN: usize = align_of::<T>();

    type Borrowed<'a>
        = PerCpuPtr<'a, T>
    where
        Self: 'a;
    type BorrowedMut<'a>
        = PerCpuPtr<'a, T>
    where
        Self: 'a;

    #[inline]
    fn into_foreign(self) -> *mut c_void {
        ManuallyDrop::new(self).ptr.as_ptr().cast()
    }

    #[inline]
    unsafe fn from_foreign(ptr: *mut c_void) -> Self {
        // INVARIANT: By the safety requirement, the pointer is that of a `Self` that was not
        // dropped.
        Self {
            // SAFETY: `into_foreign` returned the pointer, and so it is not null.
            ptr: unsafe { NonNull::new_unchecked(ptr.cast()) },
            _copies: PhantomData,
        }
    }

    #[inline(always)]
    unsafe fn borrow<'a>(ptr: *mut c_void) -> PerCpuPtr<'a, T> {
        // INVARIANT: By the safety requirement, the allocation is not freed before `'a` ends.
        PerCpuPtr {
            ptr: ptr.cast(),
            _copies: PhantomData,
        }
    }

    #[inline(always)]
    unsafe fn borrow_mut<'a>(ptr: *mut c_void) -> PerCpuPtr<'a, T> {
        // SAFETY: The requirements are stricter than those of `borrow`.
        unsafe { Self::borrow(ptr) }
    }
}

/// A per-CPU pointer: the `T` in the copies of all CPUs, borrowed for `'a`.
///
/// # Examples
///
/// ```
/// use kernel::percpu::{
///     self,
///     PerCpu,
///     PerCpuPtr, //
/// };
///
/// /// Counts a packet of `len` bytes.
/// fn count(traffic: PerCpuPtr<'_, [u32; 2]>, len: u32) {
///     percpu::project!(traffic, [build: 0]).this_cpu_add(1);
///     percpu::project!(traffic, [build: 1]).this_cpu_add(len);
/// }
///
/// let traffic = PerCpu::new_zeroed(GFP_KERNEL)?;
/// count(traffic.ptr(), 1500);
/// assert_eq!(percpu::project!(traffic, [build: 1]).sum(), 1500);
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `ptr` is the per-CPU pointer of a `T` that is alive for `'a` on every possible CPU.
pub struct PerCpuPtr<'a, T> {
    ptr: *mut T,
    _copies: PhantomData<&'a T>,
}

impl<T> Clone for PerCpuPtr<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for PerCpuPtr<'_, T> {}

impl<'a, T> PerCpuPtr<'a, T> {
    /// Returns the raw per-CPU pointer, which can be projected but not dereferenced.
    #[doc(hidden)]
    #[inline(always)]
    pub fn as_raw(self) -> *mut T {
        self.ptr
    }

    /// Selects the `F` at `ptr` in all copies.
    ///
    /// # Safety
    ///
    /// `ptr` must be a projection of [`Self::as_raw`].
    #[doc(hidden)]
    #[inline(always)]
    pub unsafe fn project<F>(self, ptr: *mut F) -> PerCpuPtr<'a, F> {
        // INVARIANT: By the safety requirement and the invariants of `Self`.
        PerCpuPtr {
            ptr,
            _copies: PhantomData,
        }
    }
}

// `percpu::project!` takes either of these.
impl<'a, T> From<&'a PerCpu<T>> for PerCpuPtr<'a, T> {
    #[inline(always)]
    fn from(percpu: &'a PerCpu<T>) -> Self {
        percpu.ptr()
    }
}

impl<'a, T> From<&PerCpuPtr<'a, T>> for PerCpuPtr<'a, T> {
    #[inline(always)]
    fn from(ptr: &PerCpuPtr<'a, T>) -> Self {
        *ptr
    }
}

impl<T: PerCpuInteger> PerCpuPtr<'_, T> {
    /// Adds `value` to the copy of the current CPU, wrapping around at the limits.
    ///
    /// Callable from any context; neither preemption nor an interrupt can split the addition. On
    /// x86-64, it is one instruction. An NMI can split it, and one of the two additions may then be
    /// lost, unless the architecture selects `ARCH_HAS_NMI_SAFE_THIS_CPU_OPS`, as x86, arm64, s390
    /// and LoongArch do.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::percpu::PerCpu;
    ///
    /// let counter = PerCpu::<u32>::new_zeroed(GFP_KERNEL)?;
    ///
    /// counter.ptr().this_cpu_add(u32::MAX);
    /// counter.ptr().this_cpu_add(3);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline(always)]
    pub fn this_cpu_add(self, value: T) {
        // SAFETY: By the type invariants.
        unsafe { T::this_cpu_add(self.ptr, value) }
    }
}

impl<T: ReadRemote> PerCpuPtr<'_, T> {
    /// Reads the copy of `cpu`, which may be another CPU, online or offline.
    ///
    /// The read cannot tear, but the value may be out of date, and reads of several integers are
    /// not consistent with each other. Callable from any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::percpu::{
    ///     self,
    ///     PerCpu, //
    /// };
    ///
    /// let counter = PerCpu::<usize>::new_zeroed(GFP_KERNEL)?;
    ///
    /// for cpu in percpu::possible_cpus() {
    ///     assert_eq!(counter.ptr().read(cpu), 0);
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn read(self, cpu: PossibleCpu) -> T {
        // SAFETY: `ptr` is a per-CPU pointer by the type invariants.
        let ptr = unsafe { bindings::per_cpu_ptr(self.ptr.cast(), cpu.as_u32()) }.cast::<T>();

        // SAFETY: The copy of a possible CPU is alive. Its CPU may write it meanwhile: the access
        // is volatile, and single by `T: ReadRemote`, as `READ_ONCE()` is.
        unsafe { ptr.read_volatile() }
    }

    /// Sums the copies of all possible CPUs, wrapping around at the limits.
    ///
    /// The sum is exact if no CPU adds meanwhile. Callable from any context, but visits all CPUs.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::percpu::PerCpu;
    ///
    /// let balance = PerCpu::<i32>::new_zeroed(GFP_KERNEL)?;
    ///
    /// // One CPU may subtract what another CPU has added.
    /// balance.ptr().this_cpu_add(3);
    /// balance.ptr().this_cpu_add(-3);
    /// assert_eq!(balance.ptr().sum(), 0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn sum(self) -> T {
        possible_cpus().fold(T::zeroed(), |sum, cpu| sum.wrapping_add(self.read(cpu)))
    }
}

mod private {
    pub trait Sealed {}
}

/// An integer that [`PerCpuPtr::this_cpu_add`] can add to.
///
/// # Examples
///
/// ```
/// use kernel::percpu::{
///     PerCpuInteger,
///     PerCpuPtr, //
/// };
///
/// fn add_to_both<I: PerCpuInteger>(first: PerCpuPtr<'_, I>, second: PerCpuPtr<'_, I>, value: I) {
///     first.this_cpu_add(value);
///     second.this_cpu_add(value);
/// }
/// ```
pub trait PerCpuInteger: private::Sealed + Copy + Zeroable {
    /// Adds `value` to the integer at `ptr` of this CPU.
    ///
    /// # Safety
    ///
    /// `ptr` must be the per-CPU pointer of an integer that is alive on this CPU.
    #[doc(hidden)]
    unsafe fn this_cpu_add(ptr: *mut Self, value: Self);

    /// Returns the sum of two values, wrapping around at the limits.
    #[doc(hidden)]
    fn wrapping_add(self, other: Self) -> Self;
}

/// A [`PerCpuInteger`] that is loaded in a single access, so that other CPUs may read it.
///
/// 64-bit integers are not among these on 32-bit machines, where such a read could tear.
///
/// # Examples
///
/// ```
/// use kernel::percpu::{
///     self,
///     PerCpuPtr,
///     ReadRemote, //
/// };
///
/// fn largest<I: ReadRemote + Ord>(ptr: PerCpuPtr<'_, I>) -> Option<I> {
///     percpu::possible_cpus().map(|cpu| ptr.read(cpu)).max()
/// }
/// ```
pub trait ReadRemote: PerCpuInteger {}

macro_rules! impl_integer {
    ($($(#[$read:meta])? $type:ty => $add:ident($raw:ty),)*) => {$(
        impl private::Sealed for $type {}

        // No data race: `this_cpu_add()` in C is one read-modify-write with regard to preemption
        // and interrupts on this CPU, no other CPU writes, and its store cannot tear where
        // `ReadRemote` is implemented.
        impl PerCpuInteger for $type {
            #[inline(always)]
            unsafe fn this_cpu_add(ptr: *mut Self, value: Self) {
                // SAFETY: By the safety requirement; `$raw` has the size of `Self`, and addition
                // modulo its range is the same for signed and unsigned.
                unsafe { bindings::$add(ptr.cast::<$raw>(), value as $raw) }
            }

            #[inline(always)]
            fn wrapping_add(self, other: Self) -> Self {
                <$type>::wrapping_add(self, other)
            }
        }

        $(#[$read])?
        // The type is not larger than a machine word.
        impl ReadRemote for $type {}
    )*};
}

impl_integer! {
    u32 => this_cpu_add_u32(u32),
    i32 => this_cpu_add_u32(u32),
    #[cfg(CONFIG_64BIT)] u64 => this_cpu_add_u64(u64),
    #[cfg(CONFIG_64BIT)] i64 => this_cpu_add_u64(u64),
}

#[cfg(CONFIG_64BIT)]
impl_integer! {
    usize => this_cpu_add_u64(u64),
    isize => this_cpu_add_u64(u64),
}

#[cfg(not(CONFIG_64BIT))]
impl_integer! {
    usize => this_cpu_add_u32(u32),
    isize => this_cpu_add_u32(u32),
}

/// A CPU that can be online at some time while the system runs, and so has per-CPU data.
///
/// # Examples
///
/// ```
/// use kernel::percpu;
///
/// for cpu in percpu::possible_cpus() {
///     assert!(cpu.as_u32() < kernel::cpu::nr_cpu_ids());
/// }
/// ```
///
/// # Invariants
///
/// The CPU is in `cpu_possible_mask`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct PossibleCpu(CpuId);

impl PossibleCpu {
    /// Returns `cpu` if it is a possible CPU.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     cpu::CpuId,
    ///     percpu::PossibleCpu, //
    /// };
    ///
    /// // The current CPU is a possible CPU.
    /// assert!(PossibleCpu::new(CpuId::current()).is_some());
    /// ```
    #[inline]
    pub fn new(cpu: CpuId) -> Option<Self> {
        // SAFETY: A `CpuId` is below `nr_cpu_ids`, and so within the mask.
        let possible = unsafe { bindings::cpu_possible(cpu.as_u32()) };

        // INVARIANT: As just tested; the mask does not change after boot.
        possible.then_some(Self(cpu))
    }

    /// Returns the CPU number.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::percpu;
    ///
    /// let first = percpu::possible_cpus().next().ok_or(ENODEV)?;
    /// assert_eq!(first.as_u32(), 0);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn as_u32(&self) -> u32 {
        self.0.as_u32()
    }
}

/// Returns all possible CPUs, in ascending order.
///
/// # Examples
///
/// ```
/// use kernel::percpu;
///
/// assert!(percpu::possible_cpus().count() >= 1);
/// ```
#[inline]
pub fn possible_cpus() -> impl Iterator<Item = PossibleCpu> + Clone {
    (0..nr_cpu_ids())
        .filter_map(CpuId::from_u32)
        .filter_map(PossibleCpu::new)
}

/// Selects a field or an element in the copies of all CPUs, as a [`PerCpuPtr`].
///
/// The first argument is a place expression of type [`PerCpu`] or [`PerCpuPtr`], the rest is a
/// projection in the syntax of [`ptr::project!`](crate::ptr::project).
///
/// # Examples
///
/// ```
/// use kernel::percpu::{
///     self,
///     PerCpu, //
/// };
///
/// let table = PerCpu::<[[usize; 2]; 8]>::new_zeroed(GFP_KERNEL)?;
/// let row = 5;
///
/// // An index that is only known at run time is checked at run time ...
/// percpu::project!(table, [try: row][build: 0]).this_cpu_add(7);
///
/// // ... unless the compiler can prove that it is in bounds.
/// let row = percpu::project!(table, [build: row & 7]);
/// assert_eq!(percpu::project!(row, [build: 0]).sum(), 7);
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! percpu_project {
    ($percpu:expr, $($proj:tt)+) => {{
        let base: $crate::percpu::PerCpuPtr<'_, _> = ::core::convert::From::from(&$percpu);
        let ptr = $crate::ptr::project!(mut base.as_raw(), $($proj)+);
        // SAFETY: `ptr` is a projection of `base.as_raw()`.
        unsafe { base.project(ptr) }
    }};
}
#[doc(inline)]
pub use percpu_project as project;

#[cfg(CONFIG_RUST_PERCPU_KUNIT_TEST)]
#[macros::kunit_tests(rust_percpu)]
mod tests {
    use super::*;
    use crate::{
        alloc::flags::{
            GFP_KERNEL,
            GFP_NOWAIT,
            __GFP_NOWARN, //
        },
        percpu, //
    };

    #[test]
    fn additions_wrap_at_the_limits() -> Result {
        macro_rules! wraps {
            ($($type:ty),*) => {$(
                let counter = PerCpu::<$type>::new_zeroed(GFP_KERNEL)?;

                counter.ptr().this_cpu_add(<$type>::MAX);
                assert_eq!(counter.ptr().sum(), <$type>::MAX);
                counter.ptr().this_cpu_add(1);
                assert_eq!(counter.ptr().sum(), <$type>::MIN);
                counter.ptr().this_cpu_add((0 as $type).wrapping_sub(1));
                assert_eq!(counter.ptr().sum(), <$type>::MAX);
            )*};
        }
        wraps!(u32, i32, usize, isize);
        #[cfg(CONFIG_64BIT)]
        wraps!(u64, i64);
        Ok(())
    }

    #[test]
    fn add_leaves_neighbours_unchanged() -> Result {
        let counters = PerCpu::<[[u32; 3]; 2]>::new_zeroed(GFP_KERNEL)?;

        percpu::project!(counters, [build: 0][build: 1]).this_cpu_add(u32::MAX);
        percpu::project!(counters, [build: 0][build: 1]).this_cpu_add(2);
        for (row, column, value) in [(0, 0, 0), (0, 1, 1), (0, 2, 0), (1, 0, 0)] {
            assert_eq!(
                percpu::project!(counters, [try: row][try: column]).sum(),
                value
            );
        }
        Ok(())
    }

    #[test]
    fn an_index_out_of_bounds_is_an_error() -> Result {
        let counters = PerCpu::<[u32; 3]>::new_zeroed(GFP_KERNEL)?;
        let add = |index: usize| -> Result {
            percpu::project!(counters, [try: index]).this_cpu_add(1);
            Ok(())
        };

        assert_eq!(add(2), Ok(()));
        assert_eq!(add(3), Err(ERANGE));
        assert_eq!(add(usize::MAX), Err(ERANGE));
        Ok(())
    }

    struct Work {
        total: PerCpu<usize>,
        by_two: PerCpu<[i32; 2]>,
    }

    /// Adds an amount specific to this CPU, in an interrupt or with interrupts disabled.
    extern "C" fn work(data: *mut c_void) {
        // SAFETY: `work_on_all_cpus()` passes a `Work` that it keeps until all CPUs are done.
        let work = unsafe { &*data.cast::<Work>() };

        for _ in 0..=CpuId::current().as_u32() {
            work.total.ptr().this_cpu_add(1);
            percpu::project!(work.by_two, [build: 1]).this_cpu_add(-2);
        }
    }

    #[test]
    fn work_on_all_cpus() -> Result {
        let data = Work {
            total: PerCpu::new_zeroed(GFP_KERNEL)?,
            by_two: PerCpu::new_zeroed(GFP_KERNEL)?,
        };

        // SAFETY: `work` takes a pointer to a `Work`, and may run in interrupts. The call waits.
        unsafe {
            bindings::on_each_cpu_cond_mask(
                None,
                Some(work),
                (&raw const data).cast_mut().cast(),
                true,
                &raw const bindings::__cpu_online_mask,
            )
        };

        let mut sum = 0;
        for cpu in percpu::possible_cpus() {
            // SAFETY: The CPU is a possible one, and so within the mask.
            let online = unsafe {
                bindings::cpumask_test_cpu(
                    cpu.as_u32() as c_int,
                    &raw mut bindings::__cpu_online_mask,
                )
            };
            let added = if online { cpu.as_u32() as usize + 1 } else { 0 };

            assert_eq!(data.total.ptr().read(cpu), added);
            let by_two = percpu::project!(data.by_two, [build: 1]).read(cpu);
            assert_eq!(by_two, -2 * added as i32);
            sum += added;
        }
        assert_eq!(data.total.ptr().sum(), sum);
        assert_eq!(percpu::project!(data.by_two, [build: 0]).sum(), 0);
        Ok(())
    }

    #[test]
    fn allocation_failure_is_an_error() -> Result {
        let mut all = KVec::new();

        // With `GFP_NOWAIT`, the allocator does not grow: it has a few MiB at most.
        let failed = loop {
            match PerCpu::<[u8; MAX_SIZE]>::new_zeroed(GFP_NOWAIT | __GFP_NOWARN) {
                Ok(big) if all.len() < 4096 => all.push(big, GFP_KERNEL)?,
                Ok(_) => break false,
                Err(AllocError) => break true,
            }
        };
        assert!(failed);

        // The memory is freed.
        drop(all);
        assert!(PerCpu::<[u8; MAX_SIZE]>::new_zeroed(GFP_KERNEL).is_ok());
        Ok(())
    }

    #[test]
    fn copies_are_aligned_and_apart() -> Result {
        #[derive(Zeroable)]
        #[repr(align(64))]
        struct Line {
            value: u32,
        }

        let lines = PerCpu::<[Line; 2]>::new_zeroed(GFP_KERNEL)?;
        assert_eq!(lines.ptr().as_raw() as usize % 64, 0);
        percpu::project!(lines, [build: 1].value).this_cpu_add(1);
        assert_eq!(percpu::project!(lines, [build: 0].value).sum(), 0);
        Ok(())
    }

    #[test]
    fn owned_by_c() -> Result {
        let counters = PerCpu::<[usize; 2]>::new_zeroed(GFP_KERNEL)?;
        let raw = counters.ptr().as_raw();
        percpu::project!(counters, [build: 1]).this_cpu_add(1);

        let foreign = counters.into_foreign();
        assert_eq!(foreign.cast(), raw);
        assert_eq!(foreign as usize % PerCpu::<[usize; 2]>::FOREIGN_ALIGN, 0);
        {
            // SAFETY: The pointer is that of `into_foreign()`, and the borrow ends before
            // `from_foreign()`.
            let borrowed = unsafe { PerCpu::<[usize; 2]>::borrow(foreign) };
            percpu::project!(borrowed, [build: 1]).this_cpu_add(2);
        }

        // SAFETY: As above, and not done before.
        let counters = unsafe { PerCpu::<[usize; 2]>::from_foreign(foreign) };
        assert_eq!(percpu::project!(counters, [build: 1]).sum(), 3);
        Ok(())
    }

    #[test]
    fn only_possible_cpus() {
        assert!(CpuId::from_u32(nr_cpu_ids()).is_none());
        let all = percpu::possible_cpus();
        assert!(all.clone().all(|cpu| cpu.as_u32() < nr_cpu_ids()));
        assert!(all.clone().is_sorted_by_key(|cpu| cpu.as_u32()));
        assert!(all.count() <= nr_cpu_ids() as usize);
    }
}
