// SPDX-License-Identifier: GPL-2.0
//! A field that is used after the per-CPU data was freed.
// error[E0505]: cannot move out of `counter` because it is borrowed

use kernel::{
    percpu::{
        self,
        PerCpu, //
    },
    prelude::*, //
};

pub fn count() -> Result {
    let counter = PerCpu::<u64>::new_zeroed(GFP_KERNEL)?;
    let field = percpu::field!(counter);
    drop(counter);
    field.add(1);
    Ok(())
}
