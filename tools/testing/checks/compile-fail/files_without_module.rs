// SPDX-License-Identifier: GPL-2.0
//! A debugfs directory that does not name the module that its files belong to.
// error[E0283]: type annotations needed

use kernel::{
    debugfs::Dir,
    prelude::*, //
};

pub fn create() -> Result<Pin<KBox<impl Sized>>> {
    let dir = Dir::new(c"files");
    KBox::pin_init(dir.read_only_file(c"file", 1), GFP_KERNEL)
}
