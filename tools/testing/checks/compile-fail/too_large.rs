// SPDX-License-Identifier: GPL-2.0
//! Data that is larger than the per-CPU allocator supports.
// error[E0080]: evaluation of `kernel::percpu::PerCpu::<[u64; 4097]>::new_zeroed

use kernel::{
    percpu::PerCpu,
    prelude::*, //
};

pub fn allocate() -> Result<PerCpu<[u64; 4097]>> {
    Ok(PerCpu::new_zeroed(GFP_KERNEL)?)
}
