// SPDX-License-Identifier: GPL-2.0
//! A table that is kept in the data of the probe.
// error: lifetime may not live long enough

use kernel::{
    net::iptables::{
        Event,
        IptVerdict,
        Table, //
    },
    prelude::*,
    sync::SetOnce,
    tracepoint::Probe, //
};

struct First(SetOnce<TableRef>);

struct TableRef(&'static Table);

// SAFETY: Not sound; this case is about the lifetime below.
unsafe impl Send for TableRef {}
// SAFETY: As above.
unsafe impl Sync for TableRef {}

impl Probe<IptVerdict> for First {
    type Data = KBox<Self>;

    fn probe<'a>(this: &Self, event: Event<'a>) {
        let table: &'a Table = event.table;
        this.0.populate(TableRef(table));
    }
}
