// SPDX-License-Identifier: GPL-2.0
//! Data for which zeroed memory is not a valid value.
// error[E0599]: the function or associated item `new_zeroed` exists for struct `PerCpu<&u32>`, but its trait bounds were not satisfied

use kernel::{
    percpu::PerCpu,
    prelude::*, //
};

pub fn allocate() -> Result<PerCpu<&'static u32>> {
    Ok(PerCpu::<&'static u32>::new_zeroed(GFP_KERNEL)?)
}
