// SPDX-License-Identifier: GPL-2.0

//! Dynamically allocated per-CPU data.
//!
//! A [`PerCpu<T>`] holds one `T` for every possible CPU. A CPU adds to the integers in its own copy
//! with an operation that preemption and interrupts cannot split, without a lock and without an
//! atomic instruction; any CPU may read the copy of any other.
//!
//! References to a copy are not available, because other contexts on the same CPU may change it at
//! any time. Integers are accessed by [`percpu::field!`], which selects a field in all copies.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)
//!
//! [`percpu::field!`]: crate::percpu::field
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
//!     packets: u64,
//!     bytes: u64,
//! }
//!
//! let traffic = PerCpu::<[Traffic; 4]>::new_zeroed(GFP_KERNEL)?;
//!
//! // Allowed in any context, including interrupts.
//! percpu::field!(traffic, [build: 2].packets).add(1);
//! percpu::field!(traffic, [build: 2].bytes).add(1500);
//!
//! assert_eq!(percpu::field!(traffic, [build: 2].packets).sum(), 1);
//! assert_eq!(percpu::field!(traffic, [build: 2].bytes).sum(), 1500);
//! assert_eq!(percpu::field!(traffic, [build: 3].bytes).sum(), 0);
//! # Ok::<(), Error>(())
//! ```

use core::{
    marker::PhantomData,
    mem::{
        align_of,
        needs_drop,
        size_of, //
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
    prelude::*, //
};

/// The size of the largest per-CPU object in bytes: `PCPU_MIN_UNIT_SIZE` in C.
pub const MAX_SIZE: usize = 32 << 10;

/// One `T` for every possible CPU, initially zeroed and freed on drop.
///
/// # Examples
///
/// ```
/// use kernel::percpu::{
///     self,
///     PerCpu, //
/// };
///
/// struct Packets(PerCpu<u64>);
///
/// impl Packets {
///     fn count(&self) {
///         percpu::field!(self.0).add(1);
///     }
/// }
///
/// let packets = Packets(PerCpu::new_zeroed(GFP_KERNEL)?);
/// packets.count();
/// assert_eq!(percpu::field!(packets.0).sum(), 1);
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `ptr` was returned by the per-CPU allocator for the layout of `T` and is not freed before
/// `self` is dropped; the copy of every possible CPU is a valid `T`, and is only accessed by
/// [`Field`].
pub struct PerCpu<T> {
    ptr: NonNull<T>,
    _copies: PhantomData<T>,
}

// SAFETY: The allocation belongs to no thread, and the copies are only accessed as integers, by
// `Field`, which is free of data races.
unsafe impl<T> Send for PerCpu<T> {}

// SAFETY: As above.
unsafe impl<T> Sync for PerCpu<T> {}

impl<T: Zeroable> PerCpu<T> {
    /// Allocates a zeroed copy of `T` for every possible CPU.
    ///
    /// May sleep if `flags` allow it. The build fails if `T` is larger than [`MAX_SIZE`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::percpu::{
    ///     self,
    ///     PerCpu, //
    /// };
    ///
    /// let counter = PerCpu::<u64>::new_zeroed(GFP_KERNEL)?;
    ///
    /// assert_eq!(percpu::field!(counter).sum(), 0);
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
    /// Returns the per-CPU pointer, which can be projected but not dereferenced.
    #[doc(hidden)]
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut T {
        self.ptr.as_ptr()
    }

    /// Selects the field at `ptr` in all copies of `self`.
    ///
    /// # Safety
    ///
    /// `ptr` must be a projection of [`Self::as_ptr`].
    #[doc(hidden)]
    #[inline(always)]
    pub unsafe fn field<F>(&self, ptr: *mut F) -> Field<'_, F> {
        // INVARIANT: By the safety requirement and the invariants of `Self`.
        Field {
            ptr,
            _owner: PhantomData,
        }
    }
}

impl<T> Drop for PerCpu<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, `ptr` is a live per-CPU allocation; all `Field`s that
        // borrowed it are gone. A `T` needs no drop.
        unsafe { bindings::free_percpu(self.ptr.as_ptr().cast()) };
    }
}

/// A field in the copies of all CPUs, created by [`percpu::field!`](crate::percpu::field).
///
/// # Examples
///
/// ```
/// use kernel::percpu::{
///     self,
///     Field,
///     PerCpu, //
/// };
///
/// fn count_both(packets: Field<'_, u64>, bytes: Field<'_, u64>, len: u32) {
///     packets.add(1);
///     bytes.add(len.into());
/// }
///
/// let traffic = PerCpu::<[u64; 2]>::new_zeroed(GFP_KERNEL)?;
/// let [packets, bytes] = [0, 1];
/// count_both(
///     percpu::field!(traffic, [build: packets]),
///     percpu::field!(traffic, [build: bytes]),
///     1500,
/// );
/// # Ok::<(), Error>(())
/// ```
///
/// # Invariants
///
/// `ptr` is the per-CPU pointer of a field that is alive for `'a` on every possible CPU.
pub struct Field<'a, F> {
    ptr: *mut F,
    _owner: PhantomData<&'a F>,
}

impl<F: Integer> Field<'_, F> {
    /// Adds `value` to the copy of the current CPU, wrapping around at the limits.
    ///
    /// Callable from any context; neither preemption nor an interrupt can split the addition. On
    /// x86-64, it is one instruction.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::percpu::{
    ///     self,
    ///     PerCpu, //
    /// };
    ///
    /// let counter = PerCpu::<u32>::new_zeroed(GFP_KERNEL)?;
    ///
    /// percpu::field!(counter).add(u32::MAX);
    /// percpu::field!(counter).add(3);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline(always)]
    pub fn add(self, value: F) {
        // SAFETY: By the type invariants.
        unsafe { F::this_cpu_add(self.ptr, value) }
    }
}

impl<F: ReadRemote> Field<'_, F> {
    /// Reads the copy of `cpu`, which may be another CPU, online or offline.
    ///
    /// The read cannot tear, but the value may be out of date, and reads of several fields are not
    /// consistent with each other.
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
    ///     assert_eq!(percpu::field!(counter).read(cpu), 0);
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn read(&self, cpu: PossibleCpu) -> F {
        // SAFETY: `ptr` is a per-CPU pointer by the type invariants.
        let ptr = unsafe { bindings::per_cpu_ptr(self.ptr.cast(), cpu.as_u32()) }.cast::<F>();

        // SAFETY: The field of a possible CPU is alive. Its CPU may write it meanwhile: the access
        // is volatile, and single by `F: ReadRemote`, as `READ_ONCE()` is.
        unsafe { ptr.read_volatile() }
    }

    /// Sums the copies of all possible CPUs, wrapping around at the limits.
    ///
    /// The sum is exact if no CPU adds to the field meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::percpu::{
    ///     self,
    ///     PerCpu, //
    /// };
    ///
    /// let balance = PerCpu::<i32>::new_zeroed(GFP_KERNEL)?;
    ///
    /// // One CPU may subtract what another CPU has added.
    /// percpu::field!(balance).add(3);
    /// percpu::field!(balance).add(-3);
    /// assert_eq!(percpu::field!(balance).sum(), 0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn sum(&self) -> F {
        possible_cpus().fold(F::zeroed(), |sum, cpu| sum.wrapping_add(self.read(cpu)))
    }
}

/// An integer in per-CPU data, to which a CPU can add in its own copy.
///
/// # Examples
///
/// ```
/// use kernel::percpu::{
///     Field,
///     Integer, //
/// };
///
/// fn add_to_both<I: Integer>(first: Field<'_, I>, second: Field<'_, I>, value: I) {
///     first.add(value);
///     second.add(value);
/// }
/// ```
///
/// # Safety
///
/// `this_cpu_add` must be free of data races with itself and with [`Field::read`].
pub unsafe trait Integer: Copy + Zeroable {
    /// Adds `value` to the field at `ptr` of this CPU.
    ///
    /// # Safety
    ///
    /// `ptr` must be the per-CPU pointer of a field that is alive on this CPU.
    #[doc(hidden)]
    unsafe fn this_cpu_add(ptr: *mut Self, value: Self);

    /// Returns the sum of two values, wrapping around at the limits.
    #[doc(hidden)]
    fn wrapping_add(self, other: Self) -> Self;
}

/// An [`Integer`] that is loaded in a single access, so that other CPUs may read it.
///
/// # Examples
///
/// ```
/// use kernel::percpu::{
///     self,
///     Field,
///     ReadRemote, //
/// };
///
/// fn largest<I: ReadRemote + Ord>(field: &Field<'_, I>) -> Option<I> {
///     percpu::possible_cpus().map(|cpu| field.read(cpu)).max()
/// }
/// ```
///
/// # Safety
///
/// An aligned volatile load of the type must be a single access of the machine.
pub unsafe trait ReadRemote: Integer {}

macro_rules! impl_integer {
    ($($(#[$read:meta])? $type:ty => $add:ident($raw:ty),)*) => {$(
        // SAFETY: `this_cpu_add()` is one read-modify-write with regard to everything that runs on
        // this CPU, no other CPU writes, and its store cannot tear where `ReadRemote` holds.
        unsafe impl Integer for $type {
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
        // SAFETY: The type is not larger than a machine word.
        unsafe impl ReadRemote for $type {}
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
pub fn possible_cpus() -> impl Iterator<Item = PossibleCpu> + Clone {
    (0..nr_cpu_ids())
        .filter_map(CpuId::from_u32)
        .filter_map(PossibleCpu::new)
}

/// Selects a field of a [`PerCpu`] in the copies of all CPUs, as a [`Field`].
///
/// The first argument is a place expression of type [`PerCpu`], the rest is a projection in the
/// syntax of [`ptr::project!`](crate::ptr::project). Without a projection, the field is the whole
/// `T`.
///
/// # Examples
///
/// ```
/// use kernel::percpu::{
///     self,
///     PerCpu, //
/// };
///
/// let table = PerCpu::<[[u64; 2]; 8]>::new_zeroed(GFP_KERNEL)?;
/// let row = 5;
///
/// // An index that is only known at run time is checked at run time ...
/// percpu::field!(table, [try: row][build: 0]).add(7);
///
/// // ... unless the compiler can prove that it is in bounds.
/// assert_eq!(percpu::field!(table, [build: row & 7][build: 0]).sum(), 7);
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! percpu_field {
    ($percpu:expr $(, $($proj:tt)*)?) => {{
        let percpu: &$crate::percpu::PerCpu<_> = &$percpu;
        let ptr = $crate::ptr::project!(mut percpu.as_ptr(), $($($proj)*)?);
        // SAFETY: `ptr` is a projection of `percpu.as_ptr()`.
        unsafe { percpu.field(ptr) }
    }};
}
#[doc(inline)]
pub use percpu_field as field;

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

                percpu::field!(counter).add(<$type>::MAX);
                assert_eq!(percpu::field!(counter).sum(), <$type>::MAX);
                percpu::field!(counter).add(1);
                assert_eq!(percpu::field!(counter).sum(), <$type>::MIN);
                percpu::field!(counter).add((0 as $type).wrapping_sub(1));
                assert_eq!(percpu::field!(counter).sum(), <$type>::MAX);
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

        percpu::field!(counters, [build: 0][build: 1]).add(u32::MAX);
        percpu::field!(counters, [build: 0][build: 1]).add(2);
        for (row, column, value) in [(0, 0, 0), (0, 1, 1), (0, 2, 0), (1, 0, 0)] {
            assert_eq!(
                percpu::field!(counters, [try: row][try: column]).sum(),
                value
            );
        }
        Ok(())
    }

    #[test]
    fn an_index_out_of_bounds_is_an_error() -> Result {
        let counters = PerCpu::<[u32; 3]>::new_zeroed(GFP_KERNEL)?;
        let add = |index: usize| -> Result {
            percpu::field!(counters, [try: index]).add(1);
            Ok(())
        };

        assert_eq!(add(2), Ok(()));
        assert_eq!(add(3), Err(ERANGE));
        assert_eq!(add(usize::MAX), Err(ERANGE));
        Ok(())
    }

    struct Work {
        total: PerCpu<u64>,
        by_two: PerCpu<[i32; 2]>,
    }

    /// Adds an amount specific to this CPU, in an interrupt or with interrupts disabled.
    extern "C" fn work(data: *mut c_void) {
        // SAFETY: `work_on_all_cpus()` passes a `Work` that it keeps until all CPUs are done.
        let work = unsafe { &*data.cast::<Work>() };

        for _ in 0..=CpuId::current().as_u32() {
            percpu::field!(work.total).add(1);
            percpu::field!(work.by_two, [build: 1]).add(-2);
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
            let added = if online {
                u64::from(cpu.as_u32()) + 1
            } else {
                0
            };

            assert_eq!(percpu::field!(data.total).read(cpu), added);
            let by_two = percpu::field!(data.by_two, [build: 1]).read(cpu);
            assert_eq!(by_two, -2 * added as i32);
            sum += added;
        }
        assert_eq!(percpu::field!(data.total).sum(), sum);
        assert_eq!(percpu::field!(data.by_two, [build: 0]).sum(), 0);
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
        assert_eq!(lines.as_ptr() as usize % 64, 0);
        percpu::field!(lines, [build: 1].value).add(1);
        assert_eq!(percpu::field!(lines, [build: 0].value).sum(), 0);
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
