// SPDX-License-Identifier: GPL-2.0
//! A table that is kept in the data of the probe.
// error: lifetime may not live long enough

use kernel::{
    net::iptables::{
        Event,
        IptVerdict,
        Table, //
    },
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
    fn probe<'a>(&self, event: Event<'a>) {
        let table: &'a Table = event.table;
        self.0.populate(TableRef(table));
    }
}
