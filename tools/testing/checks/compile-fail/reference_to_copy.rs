// SPDX-License-Identifier: GPL-2.0
//! A reference to a copy, which an interrupt could change at any time.
// error[E0614]: type `Field<'_, u64>` cannot be dereferenced

use kernel::{
    percpu::{
        self,
        PerCpu, //
    },
    prelude::*, //
};

pub fn count() -> Result {
    let counter = PerCpu::<u64>::new_zeroed(GFP_KERNEL)?;
    *percpu::field!(counter) += 1;
    Ok(())
}
