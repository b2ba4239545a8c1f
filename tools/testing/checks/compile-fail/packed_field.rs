// SPDX-License-Identifier: GPL-2.0
//! A field that is not aligned, so that an access could tear.
// error[E0793]: reference to packed field is unaligned

use kernel::{
    percpu::{
        self,
        PerCpu, //
    },
    prelude::*, //
};

#[derive(Zeroable)]
#[repr(C, packed)]
struct Packed {
    flag: u8,
    packets: u64,
}

pub fn count() -> Result {
    let packed = PerCpu::<Packed>::new_zeroed(GFP_KERNEL)?;
    percpu::project!(packed, .packets).this_cpu_add(1);
    Ok(())
}
