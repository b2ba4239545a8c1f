// SPDX-License-Identifier: GPL-2.0
//! An addition to a field that is not an integer.
// error[E0599]: the method `add` exists for struct `Field<'_, bool>`, but its trait bounds were not satisfied

use kernel::{
    percpu::{
        self,
        PerCpu, //
    },
    prelude::*, //
};

pub fn set() -> Result {
    let flag = PerCpu::<bool>::new_zeroed(GFP_KERNEL)?;
    percpu::field!(flag).add(true);
    Ok(())
}
