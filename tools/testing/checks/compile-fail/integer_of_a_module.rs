// SPDX-License-Identifier: GPL-2.0
//! An integer of a module's own, whose addition could be anything.
// error[E0277]: the trait bound `Mine: percpu::private::Sealed` is not satisfied

use kernel::{
    percpu::PerCpuInteger,
    prelude::*, //
};

#[derive(Clone, Copy, Zeroable)]
pub struct Mine(u64);

impl PerCpuInteger for Mine {
    unsafe fn this_cpu_add(_ptr: *mut Self, _value: Self) {}

    fn wrapping_add(self, _other: Self) -> Self {
        self
    }
}
