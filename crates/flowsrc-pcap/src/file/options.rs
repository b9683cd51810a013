//! The options of a pcapng block.

use std::fmt;

use super::ng::half;

/// The same number in every block's option list.
pub(super) mod option {
    pub(in crate::file) const END: u16 = 0;
    pub(in crate::file) const IF_NAME: u16 = 2;
    pub(in crate::file) const IF_DESCRIPTION: u16 = 3;
    pub(in crate::file) const IF_TSRESOL: u16 = 9;
    pub(in crate::file) const IF_TSOFFSET: u16 = 14;
    pub(in crate::file) const EPB_DROPCOUNT: u16 = 4;
    pub(in crate::file) const ISB_IFRECV: u16 = 4;
    pub(in crate::file) const ISB_IFDROP: u16 = 5;
    pub(in crate::file) const ISB_OSDROP: u16 = 7;
}

/// The options of a block: code and value. Ends at the end marker, at the end of the list, or where one overruns it.
pub(super) struct Options<'a, const BIG: bool> {
    rest: &'a [u8],
    /// Why it ended early.
    pub(super) overrun: Option<Overrun>,
}

/// An option that goes on beyond its block.
#[derive(Copy, Clone, Debug)]
pub(super) struct Overrun {
    code: u16,
    claimed: usize,
    left: usize,
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, claimed, left } = self;
        write!(f, "its option {code} claims {claimed} bytes, more than the {left} left in the block")
    }
}

impl<'a, const BIG: bool> Options<'a, BIG> {
    pub(super) fn new(list: &'a [u8]) -> Self {
        Self { rest: list, overrun: None }
    }
}

impl<'a, const BIG: bool> Iterator for Options<'a, BIG> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let code = half(self.rest, 0, BIG)?;
        let length = usize::from(half(self.rest, 2, BIG)?);
        if code == option::END {
            return None;
        }
        let Some(value) = self.rest.get(4..4 + length) else {
            self.overrun = Some(Overrun { code, claimed: length, left: self.rest.len() - 4 });
            return None;
        };
        self.rest = self.rest.get(4 + length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((code, value))
    }
}
