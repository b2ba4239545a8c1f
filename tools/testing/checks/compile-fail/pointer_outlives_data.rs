// SPDX-License-Identifier: GPL-2.0
//! A per-CPU pointer that is used after the per-CPU data was freed.
// error[E0505]: cannot move out of `counter` because it is borrowed

use kernel::{
    percpu::PerCpu,
    prelude::*, //
};

pub fn count() -> Result {
    let counter = PerCpu::<u64>::new_zeroed(GFP_KERNEL)?;
    let ptr = counter.ptr();
    drop(counter);
    ptr.this_cpu_add(1);
    Ok(())
}
