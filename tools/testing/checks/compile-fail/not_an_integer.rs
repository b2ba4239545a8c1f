// SPDX-License-Identifier: GPL-2.0
//! An addition to something that is not an integer.
// error[E0599]: the method `this_cpu_add` exists for struct `PerCpuPtr<'_, bool>`, but its trait bounds were not satisfied

use kernel::{
    percpu::PerCpu,
    prelude::*, //
};

pub fn set() -> Result {
    let flag = PerCpu::<bool>::new_zeroed(GFP_KERNEL)?;
    flag.ptr().this_cpu_add(true);
    Ok(())
}
