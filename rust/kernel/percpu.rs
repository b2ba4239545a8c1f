// SPDX-License-Identifier: GPL-2.0

//! Dynamically allocated per-CPU data.
//!
//! A [`PerCpu<T>`] is one `T` for every possible CPU. A CPU adds to the integers in its own copy
//! by an operation that preemption and interrupts cannot split, without a lock and without an
//! atomic instruction; any CPU may read the copy of any other.
//!
//! There is no way to get a reference to a copy: other contexts on the same CPU may change it at
//! any time. Integers are reached by [`percpu::field!`], which names the same field in all copies.
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
//! // Any context may do this, interrupts included.
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

/// The largest per-CPU object, in bytes: `PCPU_MIN_UNIT_SIZE` of the C side.
pub const MAX_SIZE: usize = 32 << 10;

/// One `T` for every possible CPU, zeroed at first and freed on drop.
///
/// See the [module documentation](self) for an example.
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
    /// May sleep if `flags` say so. Fails the build if a `T` is larger than [`MAX_SIZE`].
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
    /// Returns the per-CPU pointer: a base to project from, not an address to access.
    #[doc(hidden)]
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut T {
        self.ptr.as_ptr()
    }

    /// Names the field at `ptr` in all copies of `self`.
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

/// The same field in the copy of every CPU. Made by [`percpu::field!`](crate::percpu::field).
///
/// # Invariants
///
/// `ptr` is the per-CPU pointer of a field that is alive for `'a` on every possible CPU.
pub struct Field<'a, F> {
    ptr: *mut F,
    _owner: PhantomData<&'a F>,
}

impl<F: Integer> Field<'_, F> {
    /// Adds `value` to the copy of the CPU that this runs on, wrapping around at the limits.
    ///
    /// Callable from any context; neither preemption nor an interrupt can come between. On x86-64
    /// this is one instruction.
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
    /// Reads the copy of `cpu`, which may be another CPU, online or not.
    ///
    /// The value is one that the copy has had: it cannot tear, but it may be out of date, and says
    /// nothing of other fields.
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
    /// The sum is exact when no CPU adds meanwhile.
    pub fn sum(&self) -> F {
        possible_cpus().fold(F::zeroed(), |sum, cpu| sum.wrapping_add(self.read(cpu)))
    }
}

/// An integer that a CPU can add to in its own copy of per-CPU data.
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

    /// The sum of two values, wrapping around at the limits.
    #[doc(hidden)]
    fn wrapping_add(self, other: Self) -> Self;
}

/// An [`Integer`] that is loaded at once, so that another CPU may read it.
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

/// A CPU that may be online at some time while the system is up, and so has per-CPU data.
///
/// # Invariants
///
/// The CPU is in `cpu_possible_mask`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct PossibleCpu(CpuId);

impl PossibleCpu {
    /// Returns `cpu` if it is a possible one.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     cpu::CpuId,
    ///     percpu::PossibleCpu, //
    /// };
    ///
    /// // The CPU that this runs on is a possible one.
    /// assert!(PossibleCpu::new(CpuId::current()).is_some());
    /// ```
    pub fn new(cpu: CpuId) -> Option<Self> {
        // SAFETY: A `CpuId` is below `nr_cpu_ids`, and so within the mask.
        let possible = unsafe { bindings::cpu_possible(cpu.as_u32()) };

        // INVARIANT: As just tested; the mask does not change after boot.
        possible.then_some(Self(cpu))
    }

    /// Returns the CPU number.
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
pub fn possible_cpus() -> impl Iterator<Item = PossibleCpu> {
    (0..nr_cpu_ids())
        .filter_map(CpuId::from_u32)
        .filter_map(PossibleCpu::new)
}

/// Names a field of a [`PerCpu`], in the copies of all CPUs, as a [`Field`].
///
/// The first argument is a place of type [`PerCpu`], the rest is a projection as
/// [`ptr::project!`](crate::ptr::project) takes it; without one, the whole is the field.
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
/// // An index that is only known at run time is checked when it is used ...
/// percpu::field!(table, [try: row][build: 0]).add(7);
///
/// // ... unless the compiler can prove it in bounds.
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
