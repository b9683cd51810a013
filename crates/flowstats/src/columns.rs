//! Columns of every table: names, units, meanings, and where each value comes from.

use flowcore::report::{Bound, Column, Meaning, Unit, Value};
use flowcore::{Addr, Nanos};

use crate::ends::End;

/// One column of rows of `R`.
#[derive(Debug)]
pub struct Def<R: 'static> {
    /// Name, title, unit, meaning.
    pub column: Column,
    /// The cell of one row.
    pub value: fn(&R) -> Value,
    /// Shown in a plain text table.
    pub default: bool,
    /// Which columns go first when a terminal is narrow: the highest number.
    pub priority: u8,
    /// What the number of one row is to the truth for reasons of its own.
    pub bound: fn(&R) -> Bound,
}

/// Whatever its rows are.
impl<R> Clone for Def<R> {
    fn clone(&self) -> Self {
        let &Self { ref column, value, default, priority, bound } = self;
        Self { column: column.clone(), value, default, priority, bound }
    }
}

impl<R> Def<R> {
    pub(crate) const fn new(
        words: [&'static str; 3],
        (unit, meaning): (Unit, Meaning),
        value: fn(&R) -> Value,
    ) -> Self {
        Self { column: Column::new(words, unit, meaning), value, default: false, priority: 9, bound: |_| Bound::Exact }
    }

    /// What its numbers are to the truth where something is missing.
    pub(crate) const fn bounded(mut self, bound: Bound) -> Self {
        self.column.bound = bound;
        self
    }

    /// With a reason of its own not to be exact.
    pub(crate) const fn doubted(mut self, bound: fn(&R) -> Bound) -> Self {
        self.bound = bound;
        self
    }

    /// In a plain text table, given up at `priority` (0 = never).
    pub(crate) const fn shown(mut self, priority: u8) -> Self {
        self.default = true;
        self.priority = priority;
        self
    }
}

pub(crate) const KEY: (Unit, Meaning) = (Unit::None, Meaning::Key);
pub(crate) const FACT: (Unit, Meaning) = (Unit::None, Meaning::Gauge);
pub(crate) const NUMBER: (Unit, Meaning) = (Unit::Count, Meaning::Gauge);
pub(crate) const TIME: (Unit, Meaning) = (Unit::EpochNanos, Meaning::Gauge);
pub(crate) const SPAN: (Unit, Meaning) = (Unit::Nanos, Meaning::Gauge);
pub(crate) const SHARE: (Unit, Meaning) = (Unit::Percent, Meaning::Gauge);

/// The ends in front of every view's own columns.
pub(crate) fn end_columns<R>(cells: [fn(&R) -> Value; 4]) -> [Def<R>; 4] {
    let [local, local_port, remote, remote_port] = cells;
    [
        Def::new(["local_ip", "LOCAL", "This end: whose round trips, window and counts these are."], KEY, local)
            .shown(0),
        Def::new(["local_port", "LPORT", "Its port."], KEY, local_port).shown(0),
        Def::new(["remote_ip", "REMOTE", "The other end."], KEY, remote).shown(0),
        Def::new(["remote_port", "RPORT", "Its port."], KEY, remote_port).shown(0),
    ]
}

/// What else is known of an end, behind every view's own columns.
pub(crate) fn socket_columns<R>(cells: [fn(&R) -> Value; 6]) -> [Def<R>; 6] {
    let [state, interface, netns, uid, inode, cookie] = cells;
    [
        Def::new(["state", "STATE", "State of the socket, as the kernel names it."], FACT, state),
        Def::new(["interface", "IF", "Interface that gives a link-local address its scope, by index."], KEY, interface),
        Def::new(
            ["netns", "NETNS", "Network namespace, by its index in the source's list; 0 = the first."],
            KEY,
            netns,
        ),
        Def::new(["uid", "UID", "User id of the socket's owner."], FACT, uid),
        Def::new(["inode", "INODE", "Inode, by which processes hold the socket."], FACT, inode),
        Def::new(["cookie", "COOKIE", "The kernel's number for the socket."], KEY, cookie),
    ]
}

pub(crate) fn addr(addr: Addr) -> Value {
    Value::Addr(addr)
}

pub(crate) fn port(port: u16) -> Value {
    Value::U64(port.into())
}

pub(crate) fn count<N: Into<u64>>(count: Option<N>) -> Value {
    count.map_or(Value::Missing, |count| Value::U64(count.into()))
}

pub(crate) fn span(span: Option<Nanos>) -> Value {
    span.map_or(Value::Missing, Value::Span)
}

pub(crate) fn ratio(ratio: Option<f64>) -> Value {
    ratio.filter(|ratio| ratio.is_finite()).map_or(Value::Missing, Value::F64)
}

impl End {
    /// The state's name; packets have none.
    pub(crate) fn state_cell(&self) -> Value {
        self.state.map_or(Value::Missing, |state| Value::Word(state.name()))
    }
}
