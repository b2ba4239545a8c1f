// SPDX-License-Identifier: GPL-2.0

//! A module with a debugfs file in each kind of directory: `rust_files/dir/file`, which owns its
//! data, `rust_files/scope/file`, which shares it, and `rust_scope/file`.

use kernel::{
    debugfs::{
        Dir,
        File,
        Scope, //
    },
    prelude::*, //
};

module! {
    type: Files,
    name: "rust_files",
    authors: ["The iptverdict developers"],
    description: "Files in debugfs",
    license: "GPL",
}

#[pin_data]
struct Files {
    #[pin]
    _file: File<u32>,
    #[pin]
    _scope: Scope<u32>,
    #[pin]
    _root: Scope<u32>,
}

impl kernel::InPlaceModule for Files {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let root = Dir::<LocalModule>::new(c"rust_files");
        let dir = root.subdir(c"dir");
        try_pin_init!(Self {
            _file <- dir.read_only_file(c"file", 1),
            _scope <- root.scope(2, c"scope", |two, dir| dir.read_only_file(c"file", two)),
            _root <- Scope::dir::<LocalModule, _, _>(3, c"rust_scope", |three, dir| {
                dir.read_only_file(c"file", three)
            }),
        })
    }
}
