// SPDX-License-Identifier: GPL-2.0
//! A reference to a copy, which an interrupt could change at any time.
// error[E0614]: type `PerCpuPtr<'_, u64>` cannot be dereferenced

use kernel::{
    percpu::PerCpu,
    prelude::*, //
};

pub fn count() -> Result {
    let counter = PerCpu::<u64>::new_zeroed(GFP_KERNEL)?;
    *counter.ptr() += 1;
    Ok(())
}
